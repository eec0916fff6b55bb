//! The smallest filter: it signs every response.

use edgewit_sdk::Response;

/// Signs every response.
#[derive(Default)]
pub struct Hello;

impl Hello {
    fn on_response(&self, response: &mut Response) {
        response.set("x-hello", "from the edge");
    }
}

edgewit_sdk::export!(Hello: response);

#[cfg(test)]
mod tests {
    use super::*;
    use edgewit_sdk::{Edit, testing};

    #[test]
    fn responses_are_signed() {
        let mut response = testing::response(200).build();
        Hello.on_response(&mut response);
        assert_eq!(response.edits(), [Edit::set("x-hello", "from the edge")]);
    }
}
