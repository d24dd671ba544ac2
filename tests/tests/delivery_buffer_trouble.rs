//! A buffer that cannot be used: nothing to the charm, one line in the log, and live traces go on.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without")]

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use charm_tracing_tests::{Answer, CharmRun, Down, Manner, Receiver, Unit, test_charm};

/// The spans of one event of the charm's.
const SPANS: usize = 5;

fn world() -> (Unit, Receiver) {
    let (mut unit, receiver) = (Unit::new(test_charm!()), Receiver::start());
    unit.send_to(&receiver.endpoint());
    (unit, receiver)
}

#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// The charm, started by a shell that first does what `before` says.
fn by_shell(run: &CharmRun, before: &str) -> Command {
    let charm = run.command();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before}\nexec \"$0\"")]).arg(charm.get_program());
    let set = charm.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
    command.env_clear().envs(set.collect::<Vec<(OsString, OsString)>>());
    if let Some(directory) = charm.get_current_dir() {
        command.current_dir(directory);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs it with and without tracing: Juju must see no difference.
fn same_as_untraced(run: &CharmRun, start: impl Fn(&CharmRun) -> Output) -> Output {
    let untraced = start(&run.clone().variable("CHARM_TRACING_ENABLED", "0"));
    let traced = start(run);
    assert_eq!(traced, untraced, "tracing shows");
    traced
}

#[test]
fn a_directory_in_its_place_is_reported_and_live_traces_go_on() {
    let (mut unit, receiver) = world();
    fs::create_dir(unit.buffer()).unwrap();
    for event in ["first", "second"] {
        let handled = unit.handle(event);
        handled.assert_held_at_most(0.5);
        assert!(handled.warning().contains(".charm_tracing_buffer.raw"), "{handled:#?}");
    }
    assert_eq!(receiver.events(), ["first", "second"]);
    let down = Down::reserve();
    unit.send_to(&down.endpoint());
    let lost = unit.handle("lost");
    assert!(lost.warning().contains("this trace is lost"), "{lost:#?}");
    lost.note("buffer is a directory, backend refuses", SPANS, 0);
}

#[test]
fn a_strangers_file_is_moved_aside_and_kept() {
    let (mut unit, receiver) = world();
    unit.unset("TEST_CHARM_ENDPOINT");
    fs::write(unit.buffer(), "a shopping list\n").unwrap();
    let first = unit.handle("first");
    assert!(first.warning().contains("was no buffer"), "{first:#?}");
    let aside = unit.charm.path().join(".charm_tracing_buffer.raw.foreign");
    assert_eq!(fs::read_to_string(aside).unwrap(), "a shopping list\n");
    unit.send_to(&receiver.endpoint());
    unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"]);
    first.note("a stranger's file in the buffer's place", 0, receiver.spans_sent_twice());
}

#[test]
fn damage_takes_what_it_hit_and_nothing_else() {
    let (mut unit, receiver) = world();
    unit.set("TEST_CHARM_BYTES", "6000");
    let events: Vec<String> = (0..7).map(|number| format!("bulky-{number}")).collect();
    unit.buffer_events(&events);
    // In the middle of the middle one of seven records, which are about as long as each other.
    let file = OpenOptions::new().read(true).write(true).open(unit.buffer()).unwrap();
    let used = fs::read(unit.buffer()).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let middle = u64::try_from(8192 + (used - 8192) / 2).unwrap();
    file.write_all_at(&[0xff; 32], middle).unwrap();
    let live = unit.handle("live");
    live.assert_held_at_most(1.1);
    let came = receiver.events();
    assert_eq!(came, ["live", "bulky-0", "bulky-1", "bulky-2", "bulky-4", "bulky-5", "bulky-6"]);
    assert!(live.warning().contains("the buffer was damaged: 1 record is lost"), "{live:#?}");
    assert!(live.warning().contains("6 executions that waited were delivered"), "{live:#?}");
    assert_eq!(unit.waiting(), 0);
    assert_eq!(unit.handle("next").warnings, [""; 0]);
    live.note("one of 7 records damaged", SPANS + 2, receiver.spans_sent_twice());
}

/// What is done to a buffer file.
type Damage = fn(&Path);

#[test]
fn every_kind_of_damage_is_nothing_to_the_charm() {
    let damages: [(&str, Damage); 5] = [
        ("empty", |path| fs::write(path, "").unwrap()),
        ("header gone", |path| overwrite(path, 0, 8192)),
        ("half", |path| {
            let length = fs::metadata(path).unwrap().len();
            OpenOptions::new().write(true).open(path).unwrap().set_len(length / 2).unwrap();
        }),
        ("garbage", |path| overwrite(path, 0, usize::MAX)),
        ("payloads gone", |path| overwrite(path, 8192 + 64, usize::MAX)),
    ];
    for (damage, inflict) in damages {
        let (unit, receiver) = world();
        unit.buffer_events((0..5).map(|number| format!("event-{number}")));
        inflict(&unit.buffer());
        let live = unit.handle("live");
        live.assert_held_at_most(1.1);
        assert_eq!(receiver.traces()[0].root().name, "hello/0: live event", "{damage}");
        // It is of use again.
        unit.buffer_events(["again"]);
        unit.handle("last");
        let came = receiver.events();
        assert_eq!(came[came.len() - 2..], ["last", "again"], "{damage}: {came:?}");
    }
}

/// Overwrites a file's bytes from `start` on, `count` of them at most.
fn overwrite(path: &Path, start: u64, count: usize) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len() - start).unwrap();
    file.write_all_at(&vec![0x55; length.min(count)], start).unwrap();
}

/// Runs the charm as a user to whom permissions mean something.
fn as_nobody(unit: &Unit, run: &CharmRun) -> Option<Output> {
    const NOBODY: u32 = 65534;
    let mut command = run.command();
    let is_root = fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    if is_root.is_ok_and(|uid| uid == 0) {
        let (folder, state) = (unit.charm.path(), unit.charm.state());
        let kept = fs::read_dir(&state).ok()?.flatten().map(|entry| entry.path());
        for open in kept.chain([folder.parent()?.to_owned(), state.clone()]) {
            fs::set_permissions(open, Permissions::from_mode(0o777)).ok()?;
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    // Where the charm's program is not to be reached by everybody there is nothing to be seen.
    command.stdin(Stdio::null()).output().ok().filter(|output| output.status.code() != Some(126))
}

#[test]
fn a_directory_without_permissions_is_reported_and_live_traces_go_on() {
    let (unit, receiver) = world();
    fs::set_permissions(unit.charm.path(), Permissions::from_mode(0o555)).unwrap();
    let down = Down::reserve();
    let lost = unit.dispatch("lost").variable("TEST_CHARM_ENDPOINT", &down.endpoint());
    let untraced = lost.clone().variable("CHARM_TRACING_ENABLED", "0");
    let Some(untraced) = as_nobody(&unit, &untraced) else {
        return skip("the charm cannot be run as another user");
    };
    assert_eq!(as_nobody(&unit, &lost), Some(untraced));
    let log = unit.charm.juju_log();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(log[0].contains("this trace is lost"), "{log:#?}");
    assert_eq!(as_nobody(&unit, &unit.dispatch("live")).unwrap().status.code(), Some(0));
    assert_eq!(receiver.events(), ["live"]);
    fs::set_permissions(unit.charm.path(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_buffer_that_may_not_be_read_or_written_is_reported_and_live_traces_go_on() {
    for mode in [0o000, 0o444] {
        let (unit, receiver) = world();
        unit.buffer_events(["waits"]);
        fs::set_permissions(unit.buffer(), Permissions::from_mode(mode)).unwrap();
        let live = unit.dispatch("live");
        let untraced = live.clone().variable("CHARM_TRACING_ENABLED", "0");
        let said_before = unit.charm.juju_log().len();
        let Some(untraced) = as_nobody(&unit, &untraced) else {
            return skip("the charm cannot be run as another user");
        };
        assert_eq!(as_nobody(&unit, &live), Some(untraced));
        let log = unit.charm.juju_log().split_off(said_before);
        assert_eq!(log.len(), 1, "{log:#?}");
        assert!(log[0].contains("ermission denied"), "{log:#?}");
        assert_eq!(receiver.events(), ["live"], "mode {mode:o}");
        fs::set_permissions(unit.buffer(), Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(unit.charm.path(), Permissions::from_mode(0o755)).unwrap();
        unit.handle("later");
        assert_eq!(receiver.events(), ["live", "later", "waits"], "it was only out of reach");
    }
}

#[test]
fn a_file_that_may_not_grow_costs_what_does_not_fit_and_nothing_else() {
    let (mut unit, receiver) = world();
    let down = Down::reserve();
    unit.send_to(&down.endpoint());
    // The charm dies of no signal of the file's limit: to it, a full disk is a failed write.
    let limited = |run: &CharmRun| by_shell(run, "trap '' XFSZ; ulimit -f 8").output().unwrap();
    unit.set("TEST_CHARM_BYTES", "20000");
    let output = same_as_untraced(&unit.dispatch("bulky"), limited);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let log = unit.charm.juju_log();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(log[0].contains("lost"), "{log:#?}");
    // With room again it is of use again.
    unit.buffer_events(["waits"]);
    unit.send_to(&receiver.endpoint());
    unit.handle("live");
    assert_eq!(receiver.events(), ["live", "waits"]);
}

#[test]
fn a_full_disk_costs_what_does_not_fit_and_nothing_else() {
    let (unit, receiver) = world();
    let mount = "mount -t tmpfs -o size=16k none . && cp ../metadata.yaml . || exit 99";
    fs::copy(
        unit.charm.path().join("metadata.yaml"),
        unit.charm.path().parent().unwrap().join("metadata.yaml"),
    )
    .unwrap();
    let in_namespace = |run: &CharmRun| {
        let charm = by_shell(run, mount);
        let mut command = Command::new("unshare");
        command.arg("-rm").arg(charm.get_program()).args(charm.get_args());
        let set = charm.get_envs().filter_map(|(key, value)| Some((key, value?)));
        command.env_clear().envs(set).current_dir(unit.charm.path());
        command.stdin(Stdio::null()).output().unwrap()
    };
    let down = Down::reserve();
    let run = unit.dispatch("bulky").variable("TEST_CHARM_BYTES", "60000");
    let untraced = in_namespace(&run.clone().variable("CHARM_TRACING_ENABLED", "0"));
    if !untraced.status.success() {
        return skip("no small disk is to be had: mount namespaces are not allowed");
    }
    let lost = run.clone().variable("TEST_CHARM_ENDPOINT", &down.endpoint());
    assert_eq!(in_namespace(&lost), untraced);
    let log = unit.charm.juju_log();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(log[0].contains("No space left") && log[0].contains("lost"), "{log:#?}");
    assert_eq!(in_namespace(&run), untraced);
    assert_eq!(receiver.events(), ["bulky"]);
}

#[test]
fn a_buffer_that_somebody_holds_costs_less_than_a_deadline() {
    let (mut unit, receiver) = world();
    unit.buffer_events(["waits"]);
    let holder = OpenOptions::new().read(true).write(true).open(unit.buffer()).unwrap();
    holder.lock().unwrap();
    let live = unit.handle("live");
    live.assert_held_at_most(1.1);
    assert_eq!(receiver.events(), ["live"]);
    let down = Down::reserve();
    unit.send_to(&down.endpoint());
    let lost = unit.handle("lost");
    lost.assert_held_at_most(1.1);
    assert!(lost.warning().contains("this trace is lost"), "{lost:#?}");
    lost.note("buffer locked by another, backend refuses", SPANS, 0);
    drop(holder);
    unit.send_to(&receiver.endpoint());
    unit.handle("later");
    assert_eq!(receiver.events(), ["live", "later", "waits"]);
}

#[test]
fn what_cannot_be_taken_out_of_the_buffer_is_not_said_to_be_delivered() {
    let (unit, receiver) = world();
    unit.buffer_events(["first", "second"]);
    let said_before = unit.charm.juju_log().len();
    receiver.answer_next([Answer::status(200), Answer::given(Manner::Held)]);
    let mut live = unit.dispatch("live").command().stdout(Stdio::null()).spawn().unwrap();
    receiver.wait_for_requests(2);
    let holder = OpenOptions::new().read(true).write(true).open(unit.buffer()).unwrap();
    holder.lock().unwrap();
    receiver.release();
    assert!(live.wait().unwrap().success());
    drop(holder);
    let log = unit.charm.juju_log().split_off(said_before);
    assert!(log.len() == 1 && log[0].contains("held the lock of buffer"), "{log:#?}");
    assert!(!log[0].contains("delivered"), "{log:#?}");
    assert_eq!(unit.waiting(), 2);
    let later = unit.handle("later");
    assert!(later.warning().contains("2 executions that waited were delivered"), "{later:#?}");
}

#[test]
fn what_a_long_execution_finds_amiss_on_its_way_is_reported() {
    let (unit, receiver) = world();
    fs::write(unit.buffer(), "a shopping list\n").unwrap();
    let mut told = unit.dispatch("told").command();
    told.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut told = told.spawn().unwrap();
    told.stdin.take().unwrap().write_all(b"spans 600\n").unwrap();
    assert!(told.wait().unwrap().success());
    assert_eq!(receiver.trace().spans.len(), 606);
    let log = unit.charm.juju_log();
    assert!(log.len() == 1 && log[0].contains("was no buffer"), "{log:#?}");
}

#[test]
fn a_deleted_buffer_is_a_new_beginning() {
    let (unit, receiver) = world();
    unit.buffer_events(["lost"]);
    fs::remove_file(unit.buffer()).unwrap();
    unit.handle("first");
    unit.buffer_events(["waits"]);
    unit.handle("second");
    assert_eq!(receiver.events(), ["first", "second", "waits"]);
}
