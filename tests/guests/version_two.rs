//! The second version of a filter that is swapped.

edgewit_guests::version!("2");
