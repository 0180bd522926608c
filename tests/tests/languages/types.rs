//! The SDK for JavaScript against the types that are generated from the contract: functions, cases and fields that it does not cover do not
//! compile. (What types cannot tell, the SDK's own tests do; they are run by those of `guest-sdk/bindgen`.)

use wsrun_tests::project::{self, Language};

#[test]
fn sdk_for_javascript_has_the_types_of_the_contract() {
    if !Language::Ts.is_there() {
        return;
    }
    // Brings the compiler along.
    let component = match project::of_template(Language::Ts, "echo") {
        Ok(component) => component,
        Err(error) => panic!("{error}"),
    };
    let project = component.ancestors().nth(2).expect("dist is in a project");
    let compiler = project.join("node_modules/typescript/bin/tsc");
    let checked = project::run(
        &["node", &compiler.to_string_lossy(), "-p", "tests"],
        "guest-sdk/js",
        &[],
    );
    if let Err(error) = checked {
        panic!("{error}");
    }
}
