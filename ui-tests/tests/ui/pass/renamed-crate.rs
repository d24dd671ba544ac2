//! The runtime under another path.

mod reexported {
    pub mod tracing {
        pub use charm_tracing::*;
    }
}

struct HelloCharm;

#[charm_tracing::trace_charm(crate = crate::reexported::tracing, skip(skipped), extra_types(String))]
impl HelloCharm {
    fn on_install(&self) -> Result<(), String> {
        Err(String::from("x").trim().to_owned())
    }

    fn skipped(&self) {}
}

#[charm_tracing::trace_function(crate = reexported::tracing, fields(number = number))]
fn function(number: u8) -> u8 {
    number
}

fn main() {
    let _ = HelloCharm.on_install();
    HelloCharm.skipped();
    function(1);
}
