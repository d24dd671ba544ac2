//! Where the crate's own lines go: to the charm's logger if it has one, else into Juju's log inside
//! a hook, else to stderr.

use charm_tracing_tests::test_charm;

const LINE: &str = "there is no backend yet; traces wait in ";

#[test]
fn inside_a_hook_they_go_to_jujus_log() {
    let charm = test_charm!();
    let finished = charm.dispatch("hooks/nested").run();
    assert_eq!(finished.stderr, "");
    let warnings: Vec<String> =
        charm.juju_log().into_iter().filter(|line| line.starts_with("WARNING")).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains(LINE), "{warnings:?}");
}

#[test]
fn outside_juju_they_go_to_stderr() {
    let charm = test_charm!();
    let run = charm.dispatch("").without("JUJU_");
    let finished = run.run();
    assert!(finished.stderr.starts_with("charm-tracing: not run by Juju"), "{finished:?}");
}

#[test]
fn outside_juju_a_charm_that_names_no_buffer_has_none() {
    let charm = test_charm!();
    let finished = charm.dispatch("").without("JUJU_").run();
    assert!(finished.stderr.contains("there is no buffer, so this trace is lost"), "{finished:?}");
    assert!(!charm.path().join(".charm_tracing_buffer.raw").exists());
}

#[test]
fn a_charm_with_a_logger_gets_them_there() {
    let charm = test_charm!();
    let finished = charm.dispatch("hooks/nested").variable("TEST_CHARM_LOGGER", "1").run();
    assert!(finished.stderr.starts_with("logger: WARN charm_tracing: "), "{finished:?}");
    assert!(finished.stderr.contains(LINE), "{finished:?}");
    let in_juju = charm.juju_log();
    assert!(!in_juju.iter().any(|line| line.contains(LINE)), "{in_juju:?}");
}
