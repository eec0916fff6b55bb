//! Never returns from the configured phase.

edgewit_guests::in_phase!(Spin: spin);

fn spin() {
    loop {
        std::hint::black_box(0);
    }
}
