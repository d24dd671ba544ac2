//! No attempt for a while after a failure, across executions: how long, and what ends it.

use std::fs;
use std::time::{Duration, SystemTime};

use charm_tracing_tests::{Answer, Authority, Down, Receiver, Unit, test_charm};

fn unit_for(endpoint: &str) -> Unit {
    let mut unit = Unit::new(test_charm!());
    unit.send_to(endpoint);
    unit
}

/// How long no attempt is made after `event`, counted from its end.
fn wait_after(unit: &Unit, event: &str) -> Duration {
    unit.handle(event);
    unit.back_off(SystemTime::now())
}

/// Whether a wait is what it is meant to be: at most `longest`, at least three quarters of it, less
/// the moment between the failure and the look at it.
fn is_about(wait: Duration, longest: Duration) -> bool {
    wait <= longest && wait + Duration::from_millis(500) >= longest * 3 / 4
}

#[test]
fn waits_double_from_two_seconds_to_five_minutes_across_executions() {
    let down = Down::reserve();
    let unit = unit_for(&down.endpoint());
    for longest in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300].map(Duration::from_secs) {
        let wait = wait_after(&unit, "first");
        assert!(is_about(wait, longest), "{wait:?} for {longest:?}");
        unit.let_back_off_pass();
    }
}

#[test]
fn units_do_not_come_back_all_at_once() {
    let down = Down::reserve();
    let waits: Vec<Duration> =
        (0..8).map(|_| wait_after(&unit_for(&down.endpoint()), "first")).collect();
    let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    // Eight throws of up to half a second: that they all lie within 20 ms does not happen.
    assert!(*most > *least + Duration::from_millis(20), "{waits:?}");
}

#[test]
fn an_execution_that_backs_off_costs_a_push_and_no_connection() {
    let receiver = Receiver::start();
    let unit = unit_for(&receiver.endpoint());
    receiver.answer_next([Answer::status(503).header("retry-after", "200")]);
    unit.handle("first");
    for number in 1..10 {
        let handled = unit.handle("next");
        handled.assert_held_at_most(0.2);
        assert_eq!(handled.warnings, [""; 0]);
        assert_eq!((receiver.connections(), unit.waiting()), (1, number + 1));
    }
}

#[test]
fn retry_after_is_honoured_in_seconds_and_as_a_date_up_to_five_minutes() {
    // The Unix time 2_000_000_000, far off, and the day before the epoch's second, long gone.
    let (far, gone) = ("Wed, 18 May 2033 03:33:20 GMT", "Fri, 02 Jan 1970 00:00:00 GMT");
    for (value, longest) in [("77", 77), ("0", 0), ("86400", 300), (far, 300), (gone, 0)] {
        for status in [429, 503] {
            let receiver = Receiver::start();
            let unit = unit_for(&receiver.endpoint());
            receiver.answer_next([Answer::status(status).header("retry-after", value)]);
            let wait = wait_after(&unit, "first");
            let longest = Duration::from_secs(longest);
            assert!(wait <= longest, "{value}: {wait:?}");
            assert!(wait + Duration::from_secs(2) >= longest, "{value}: {wait:?}");
        }
    }
}

#[test]
fn a_date_soon_to_come_is_waited_for() {
    let receiver = Receiver::start();
    let unit = unit_for(&receiver.endpoint());
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    receiver.answer_next([Answer::status(503).header("retry-after", &soon)]);
    let wait = wait_after(&unit, "first").as_secs();
    assert!((95..=100).contains(&wait), "{wait}");
}

#[test]
fn a_retry_after_that_says_nothing_is_none() {
    for value in ["soon", "-5", "", "1e3"] {
        let receiver = Receiver::start();
        let unit = unit_for(&receiver.endpoint());
        receiver.answer_next([Answer::status(429).header("retry-after", value)]);
        let wait = wait_after(&unit, "first");
        assert!(is_about(wait, Duration::from_secs(2)), "{value:?}: {wait:?}");
    }
}

#[test]
fn the_next_attempt_is_made_when_its_time_has_come_and_not_before() {
    let receiver = Receiver::start();
    let mut unit = unit_for(&receiver.endpoint());
    // However many executions a fast machine has in the time: none is to be evicted.
    unit.set("TEST_CHARM_BUFFER_MAX_EVENTS", "100000");
    receiver.answer_next([Answer::status(503).header("retry-after", "1")]);
    unit.handle("first");
    let answered = SystemTime::now();
    let mut executions = 1;
    // Events come all the time; each is an execution that looks at the clock.
    while receiver.connections() == 1 {
        assert!(answered.elapsed().unwrap() < Duration::from_secs(5), "no further attempt");
        unit.buffer_events(["meanwhile"]);
        unit.handle("next");
        executions += 2;
    }
    assert!(answered.elapsed().unwrap() > Duration::from_millis(800), "{answered:?}");
    assert_eq!(receiver.traces().len(), executions);
    assert_eq!(receiver.spans_sent_twice(), 0);
}

#[test]
fn another_endpoint_is_a_new_chance() {
    let (receiver, down) = (Receiver::start(), Down::reserve());
    let mut unit = unit_for(&down.endpoint());
    unit.handle("first");
    unit.send_to(&receiver.endpoint());
    unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"]);
}

#[test]
fn another_path_is_another_endpoint() {
    let receiver = Receiver::start();
    let mut unit = unit_for(&receiver.endpoint());
    receiver.answer_next([Answer::status(503)]);
    unit.handle("first");
    unit.send_to(&format!("{}/tenant", receiver.endpoint()));
    unit.handle("second");
    assert_eq!(receiver.events(), ["second", "first"]);
}

#[test]
fn another_certificate_is_a_new_chance_and_the_same_is_not() {
    let (wrong, right) = (Authority::new("ca"), Authority::new("ca"));
    let receiver = Receiver::start_tls(right.server("127.0.0.1"));
    let mut unit = unit_for(&receiver.endpoint());
    let file = unit.charm.path().join("ca.pem");
    fs::write(&file, wrong.pem()).unwrap();
    unit.set("TEST_CHARM_CERTIFICATE", file.to_str().unwrap());
    unit.handle("first");
    fs::write(&file, wrong.pem()).unwrap();
    unit.handle("second");
    assert_eq!(receiver.connections(), 1, "the same certificates, written anew");
    fs::write(&file, right.pem()).unwrap();
    unit.handle("third");
    assert_eq!(receiver.events(), ["third", "first", "second"]);
}

#[test]
fn success_ends_the_series_of_failures() {
    let receiver = Receiver::start();
    let unit = unit_for(&receiver.endpoint());
    receiver.answer_next([503, 503, 200, 200, 503].map(Answer::status));
    for longest in [2, 4] {
        assert!(is_about(wait_after(&unit, "event"), Duration::from_secs(longest)));
        unit.let_back_off_pass();
    }
    assert_eq!(wait_after(&unit, "event"), Duration::ZERO);
    assert!(is_about(wait_after(&unit, "event"), Duration::from_secs(2)));
}

#[test]
fn a_model_without_a_backend_for_long_gets_two_lines() {
    let down = Down::reserve();
    let mut unit = Unit::new(test_charm!());
    let mut warnings = Vec::new();
    for number in 0..25 {
        match number {
            5 => unit.send_to(&down.endpoint()),
            15 => unit.send_to("https://tempo.example:4318"),
            _ => {}
        }
        warnings.extend(unit.handle("event").warnings);
        if unit.buffer().exists() {
            unit.let_back_off_pass();
        }
    }
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let receiver = Receiver::start();
    unit.send_to(&receiver.endpoint());
    warnings.extend(unit.handle("last").warnings);
    warnings.extend(unit.handle("more").warnings);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("traces wait in"), "{warnings:#?}");
    assert!(warnings[1].contains("25 executions that waited were delivered"), "{warnings:#?}");
    assert_eq!(receiver.traces().len(), 27);
    assert_eq!(receiver.spans_sent_twice(), 0);
}
