//! Panics in the configured phase.

edgewit_guests::in_phase!(Trap: trap);

#[inline(never)]
fn trap() {
    panic!("the guest wants it so");
}
