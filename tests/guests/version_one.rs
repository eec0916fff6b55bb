//! The first version of a filter that is swapped.

edgewit_guests::version!("1");
