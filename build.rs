//! Sets the linker arguments a Node addon needs; nothing when the daemon alone is built.

fn main() {
    // The arguments apply to every target of the package, so they are asked for only with the binding.
    if std::env::var_os("CARGO_FEATURE_BINDING").is_some() {
        napi_build::setup();
    }
}
