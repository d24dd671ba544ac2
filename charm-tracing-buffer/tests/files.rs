//! Real files: permissions, links, pipes, deletion, locks, full disks, and processes that are
//! killed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by panicking, and one that is skipped says that too"
)]

mod disk;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use charm_tracing_buffer::{Buffer, Durability, EventKey, Operation, Options, Reason};
use disk::Chance;

/// A directory of one test, removed with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("buffer-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("queue")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn open(path: &Path) -> Buffer {
    Buffer::open(path, Options::default()).unwrap()
}

fn key(number: u8) -> EventKey {
    EventKey([number; 16])
}

fn refusal(path: &Path) -> &'static str {
    let error = Buffer::open(path, Options::default()).unwrap_err();
    assert_eq!((error.operation(), error.path()), (Operation::Open, path));
    match error.reason() {
        Reason::NotAFile(kind) => kind,
        other => panic!("{other}"),
    }
}

#[test]
fn a_new_file_is_private_and_its_directories_are_created() {
    let directory = Directory::new();
    let path = directory.0.join("not/yet/there/queue");
    open(&path).push(key(1), b"x").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn an_existing_file_with_wider_permissions_is_narrowed() {
    let directory = Directory::new();
    let path = directory.file();
    open(&path).push(key(1), b"x").unwrap();
    for mode in [0o644, 0o666, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(open(&path).len().unwrap().records, 1);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0);
    }
}

#[test]
fn what_is_not_a_file_is_refused_without_following_or_blocking() {
    let directory = Directory::new();
    let target = directory.0.join("target");
    fs::write(&target, b"precious").unwrap();
    let link = directory.0.join("link");
    symlink(&target, &link).unwrap();
    assert_eq!(refusal(&link), "symbolic link");
    assert!(matches!(
        Buffer::is_empty(&link).unwrap_err().reason(),
        Reason::NotAFile("symbolic link")
    ));
    symlink(directory.0.join("nowhere"), directory.0.join("dangling")).unwrap();
    assert_eq!(refusal(&directory.0.join("dangling")), "symbolic link");
    assert!(!directory.0.join("nowhere").exists());
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(refusal(&directory.0), "directory");
    let pipe = directory.0.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(refusal(&pipe), "pipe");
    assert_eq!(refusal(Path::new("/dev/null")), "device");
    let _socket = std::os::unix::net::UnixListener::bind(directory.0.join("socket")).unwrap();
    assert_eq!(refusal(&directory.0.join("socket")), "socket");
}

#[test]
fn is_empty_follows_the_records() {
    let directory = Directory::new();
    let path = directory.file();
    assert!(Buffer::is_empty(&path).unwrap());
    let mut buffer = open(&path);
    assert!(Buffer::is_empty(&path).unwrap());
    buffer.set_metadata([1; 64]).unwrap();
    assert!(Buffer::is_empty(&path).unwrap());
    buffer.push(key(1), b"").unwrap();
    assert!(!Buffer::is_empty(&path).unwrap());
    let batch = buffer.peek(0).unwrap();
    buffer.acknowledge(&batch).unwrap();
    assert!(Buffer::is_empty(&path).unwrap());
    assert_eq!(open(&path).metadata().unwrap(), [1; 64]);
}

#[test]
fn a_buffer_that_is_off_touches_nothing() {
    let directory = Directory::new();
    let path = directory.file();
    let off = Options { max_events: 0, ..Options::default() };
    let mut buffer = Buffer::open(&path, off).unwrap();
    let pushed = buffer.push(key(1), b"x").unwrap();
    assert_eq!((pushed.evicted_events, pushed.evicted_records), (1, 1));
    buffer.set_metadata([1; 64]).unwrap();
    assert!(!path.exists());
    for content in [b"a stranger's".as_slice(), b""] {
        fs::write(&path, content).unwrap();
        let mut buffer = Buffer::open(&path, off).unwrap();
        buffer.push(key(1), b"x").unwrap();
        assert!(buffer.peek(100).unwrap().is_empty());
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn a_record_that_can_never_fit_is_refused_and_costs_nothing() {
    let directory = Directory::new();
    let mut buffer = open(&directory.file());
    assert!(buffer.push(key(1), &vec![0; 10 << 20]).is_err());
    assert!(!directory.file().exists());
    let mut buffer =
        Buffer::open(directory.file(), Options { max_bytes: 70_000, ..Options::default() })
            .unwrap();
    buffer.push(key(1), b"stays").unwrap();
    let limit = 70_000 / 64 * 64 - 8192 - 64;
    let error = buffer.push(key(2), &vec![0; limit + 1]).unwrap_err();
    assert!(
        matches!(error.reason(), Reason::RecordTooLarge { limit: l, .. } if *l == limit as u64),
        "{error}"
    );
    assert_eq!(buffer.len().unwrap().records, 1);
    let pushed = buffer.push(key(2), &vec![0; limit]).unwrap();
    assert_eq!((pushed.evicted_events, pushed.evicted_records), (1, 1));
    assert!(fs::metadata(directory.file()).unwrap().len() <= 70_000);
}

#[test]
fn two_records_that_fit_side_by_side_both_stay() {
    let directory = Directory::new();
    let mut buffer =
        Buffer::open(directory.file(), Options { max_bytes: 64 << 10, ..Options::default() })
            .unwrap();
    for number in 0..2 {
        assert_eq!(buffer.push(key(number), &vec![number; 25_000]).unwrap().evicted_records, 0);
    }
    assert_eq!(buffer.push(key(2), &vec![2; 25_000]).unwrap().evicted_events, 1);
}

#[test]
fn smaller_caps_evict_the_oldest_at_open() {
    let directory = Directory::new();
    let path = directory.file();
    let mut buffer = open(&path);
    for number in 0..100 {
        buffer.push(key(number), &[number; 6000]).unwrap();
    }
    let mut buffer =
        Buffer::open(&path, Options { max_bytes: 200_000, max_events: 50, ..Options::default() })
            .unwrap();
    let kept = buffer.peek(usize::MAX).unwrap();
    assert!(fs::metadata(&path).unwrap().len() <= 200_000);
    assert!((30..=31).contains(&kept.len()), "{} fit", kept.len());
    assert_eq!(kept.records().last().unwrap().bytes, [99; 6000]);
    assert_eq!(buffer.recovery().evicted_events, 100 - kept.len() as u64);
}

#[test]
fn invalid_sizes_are_refused() {
    for max_bytes in [0, 65_535, 1 << 32] {
        let error =
            Buffer::open("/nowhere", Options { max_bytes, ..Options::default() }).unwrap_err();
        assert!(matches!(error.reason(), Reason::InvalidMaxBytes(n) if *n == max_bytes));
    }
}

#[test]
fn a_file_that_is_deleted_or_replaced_while_open_is_noticed() {
    let directory = Directory::new();
    let path = directory.file();
    let mut buffer = open(&path);
    buffer.push(key(1), b"one").unwrap();
    let batch = buffer.peek(100).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(buffer.len().unwrap().records, 0);
    assert!(matches!(buffer.acknowledge(&batch).unwrap_err().reason(), Reason::StaleBatch));
    buffer.push(key(2), b"two").unwrap();
    assert_eq!(open(&path).peek(100).unwrap().records()[0].bytes, b"two");
    assert!(matches!(buffer.acknowledge(&batch).unwrap_err().reason(), Reason::StaleBatch));

    let other = directory.0.join("other");
    open(&other).push(key(3), b"three").unwrap();
    fs::rename(&other, &path).unwrap();
    buffer.push(key(4), b"four").unwrap();
    let found: Vec<_> = open(&path).iter().map(|record| record.unwrap().bytes).collect();
    assert_eq!(found, [b"three".to_vec(), b"four".to_vec()]);
}

#[test]
fn a_strangers_file_is_moved_aside_and_only_one_is_kept() {
    let directory = Directory::new();
    let path = directory.file();
    for content in ["the first", "the second"] {
        fs::write(&path, content).unwrap();
        let mut buffer = open(&path);
        assert!(buffer.recovery().moved_aside);
        buffer.push(key(1), b"ours").unwrap();
        assert_eq!(fs::read_to_string(directory.0.join("queue.foreign")).unwrap(), content);
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
}

#[test]
fn waiting_for_the_lock_is_bounded() {
    let directory = Directory::new();
    let path = directory.file();
    let mut buffer = Buffer::open(
        &path,
        Options { lock_timeout: Duration::from_millis(40), ..Options::default() },
    )
    .unwrap();
    buffer.push(key(1), b"x").unwrap();
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    let begin = Instant::now();
    let error = buffer.push(key(2), b"y").unwrap_err();
    assert!(
        matches!(error.reason(), Reason::Locked(timeout) if timeout.as_millis() == 40),
        "{error}"
    );
    assert!(begin.elapsed() >= Duration::from_millis(40));
    drop(holder);
    buffer.push(key(2), b"y").unwrap();
}

#[test]
fn iterating_goes_on_while_another_handle_drains_and_pushes() {
    let directory = Directory::new();
    let path = directory.file();
    let mut buffer = open(&path);
    for number in 0..6 {
        buffer.push(key(number), &[number]).unwrap();
    }
    let mut other = open(&path);
    let mut iter = buffer.iter();
    assert_eq!(iter.next().unwrap().unwrap().bytes, [0]);
    let batch = other.peek(3).unwrap();
    other.acknowledge(&batch).unwrap();
    other.push(key(9), &[9]).unwrap();
    let rest: Vec<_> = iter.map(|record| record.unwrap().bytes[0]).collect();
    assert_eq!(rest, [3, 4, 5]);
}

#[test]
fn iterating_ends_when_the_file_is_replaced() {
    let directory = Directory::new();
    let path = directory.file();
    let other = directory.0.join("other");
    for path in [&path, &other] {
        let mut buffer = open(path);
        buffer.push(key(1), b"one").unwrap();
        buffer.push(key(2), b"two").unwrap();
    }
    let mut buffer = open(&path);
    let mut iter = buffer.iter();
    assert_eq!(iter.next().unwrap().unwrap().bytes, b"one");
    fs::rename(&other, &path).unwrap();
    assert!(iter.next().is_none());
    assert_eq!(buffer.len().unwrap().records, 2);
}

#[test]
fn threads_with_a_handle_each_lose_nothing() {
    let directory = Directory::new();
    let path = directory.file();
    let options = Options {
        max_events: 10_000,
        durability: Durability::Process,
        lock_timeout: Duration::from_secs(60),
        ..Options::default()
    };
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let path = &path;
            scope.spawn(move || {
                let mut buffer = Buffer::open(path, options).unwrap();
                for number in 0..200_u8 {
                    buffer.push(key(thread), &[thread, number]).unwrap();
                }
            });
        }
    });
    let mut next = [0_u8; 4];
    for record in Buffer::open(&path, options).unwrap().iter() {
        let bytes = record.unwrap().bytes;
        let thread = usize::from(bytes[0]);
        assert_eq!(bytes[1], next[thread], "thread {thread} out of order");
        next[thread] += 1;
    }
    assert_eq!(next, [200; 4]);
}

/// What a child process of these tests does instead of them: the test binary runs itself with this
/// in the environment.
const CHILD: &str = "BUFFER_TEST_CHILD";

fn child(job: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_child_process", "--nocapture", "--test-threads=1"])
        .env(CHILD, job)
        .env("BUFFER_TEST_PATH", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
fn in_a_child_process() {
    let Some(job) = std::env::var_os(CHILD) else {
        return;
    };
    let path = PathBuf::from(std::env::var_os("BUFFER_TEST_PATH").unwrap());
    match job.to_str().unwrap() {
        "push" => push_and_report(&path),
        "fill" => fill_and_report(&path),
        other => panic!("{other}"),
    }
}

/// Pushes for ever (or 300 times), and reports each push once it is acknowledged.
fn push_and_report(path: &Path) {
    let options = Options {
        max_events: 1_000_000,
        lock_timeout: Duration::from_secs(60),
        ..Options::default()
    };
    let process = std::process::id();
    let mut out = std::io::stdout();
    for number in 0..300_u32 {
        // A process of its own would do as much: open, push, exit.
        let mut buffer = Buffer::open(path, options).unwrap();
        let bytes = [process.to_le_bytes(), number.to_le_bytes()].concat().repeat(100);
        buffer.push(EventKey(u128::from(process).to_le_bytes()), &bytes).unwrap();
        writeln!(out, "pushed {process} {number}").unwrap();
    }
}

fn pushed_numbers(path: &Path) -> HashMap<u32, Vec<u32>> {
    let mut numbers: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut buffer =
        Buffer::open(path, Options { max_events: 1_000_000, ..Options::default() }).unwrap();
    for record in buffer.iter() {
        let bytes = record.unwrap().bytes;
        assert_eq!(bytes, bytes[..8].repeat(100), "a mixture of two records");
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        numbers.entry(number(0)).or_default().push(number(4));
    }
    assert_eq!(buffer.recovery().lost_records, 0);
    numbers
}

fn reported(line: &str) -> Option<u32> {
    line.rsplit_once("pushed ")?.1.split_once(' ')?.1.parse().ok()
}

#[test]
fn two_processes_push_at_once_and_one_is_killed_at_random_moments() {
    let mut chance = Chance(7);
    for round in 0..12 {
        let directory = Directory::new();
        let path = directory.file();
        let mut steady = child("push", &path);
        let mut victim = child("push", &path);
        // It dies after so many reports and a moment of busy waiting: in any part of the next push.
        let reports = chance.below(120);
        let mut acknowledged = None;
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            acknowledged = reported(&line.unwrap()).or(acknowledged);
            if acknowledged.is_some_and(|number| u64::from(number) >= reports) {
                break;
            }
        }
        let (begin, moment) = (Instant::now(), Duration::from_micros(chance.below(600)));
        while begin.elapsed() < moment {
            std::hint::spin_loop();
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        for line in lines {
            acknowledged = line.ok().and_then(|line| reported(&line)).or(acknowledged);
        }
        let pid = steady.id();
        assert!(
            steady.wait_with_output_read().success(),
            "round {round}: the other one was disturbed"
        );
        let numbers = pushed_numbers(&path);
        assert_eq!(numbers[&pid], (0..300).collect::<Vec<_>>(), "round {round}");
        let stored = &numbers[&victim.id()];
        let count = u32::try_from(stored.len()).unwrap();
        assert_eq!(*stored, (0..count).collect::<Vec<_>>(), "round {round}");
        let acknowledged = acknowledged.unwrap() + 1;
        assert!(
            (acknowledged..=acknowledged + 1).contains(&count),
            "round {round}: {count}, not {acknowledged}"
        );
    }
}

trait WaitReading {
    fn wait_with_output_read(&mut self) -> std::process::ExitStatus;
}

impl WaitReading for Child {
    /// Waits for the end, reading meanwhile what it reports, so that it is not held up.
    fn wait_with_output_read(&mut self) -> std::process::ExitStatus {
        BufReader::new(self.stdout.take().unwrap()).lines().for_each(drop);
        self.wait().unwrap()
    }
}

/// Pushes until a push fails, then checks and reports what is there.
fn fill_and_report(path: &Path) {
    let mut buffer = open(path);
    let mut stored = 0_u8;
    let error = loop {
        match buffer.push(key(stored), &[stored; 6000]) {
            Ok(pushed) => {
                assert_eq!(pushed.evicted_records, 0);
                stored += 1;
            }
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("free some space"), "{error}");
    for mut buffer in [buffer, open(path)] {
        let found: Vec<_> = buffer.iter().map(|record| record.unwrap().bytes).collect();
        assert_eq!(found.len(), usize::from(stored));
        assert!((0..).zip(&found).all(|(number, bytes)| *bytes == [number; 6000]));
        assert_eq!(buffer.recovery().lost_records, 0);
    }
    // What is delivered makes room again.
    let mut buffer = open(path);
    let batch = buffer.peek(usize::MAX).unwrap();
    buffer.acknowledge(&batch).unwrap();
    buffer.push(key(1), b"goes on").unwrap();
    println!("stored {stored}");
}

#[test]
fn a_limit_on_file_size_leaves_what_was_stored() {
    let directory = Directory::new();
    let path = directory.file();
    // The limit is in blocks of 1024 bytes; without the trap the signal would kill the process.
    let script = "trap '' XFSZ; ulimit -f 150 && exec \"$0\" --exact in_a_child_process --nocapture --test-threads=1";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "fill")
        .env("BUFFER_TEST_PATH", &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("stored 2"), "some twenty records of 6000 bytes: {text}");
}

/// A file system of 256 KiB in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "buffer-test"])
            .arg(&at)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

#[test]
fn a_full_disk_leaves_what_was_stored() {
    let directory = Directory::new();
    let Some(disk) = SmallDisk::mount(directory.0.join("small")) else {
        eprintln!(
            "SKIPPED a_full_disk_leaves_what_was_stored: a small file system cannot be mounted here"
        );
        return;
    };
    let mut filler = child("fill", &disk.0.join("queue"));
    assert!(filler.wait_with_output_read().success());
}

#[test]
fn a_read_only_file_is_a_clear_error_and_unharmed() {
    let directory = Directory::new();
    let Some(disk) = SmallDisk::mount(directory.0.join("small")) else {
        eprintln!(
            "SKIPPED a_read_only_file_is_a_clear_error_and_unharmed: a file system cannot be mounted here"
        );
        return;
    };
    let path = disk.0.join("queue");
    open(&path).push(key(1), b"x").unwrap();
    let remount = |how: &str| {
        assert!(Command::new("mount").args(["-o", how]).arg(&disk.0).status().unwrap().success());
    };
    remount("remount,ro");
    let before = fs::read(&path).unwrap();
    let error = Buffer::open(&path, Options::default()).unwrap_err();
    assert!(error.to_string().contains("make the file and its directory writable"), "{error}");
    let error = open(&disk.0.join("new")).push(key(1), b"x").unwrap_err();
    assert_eq!(error.operation(), Operation::Push);
    assert!(error.to_string().contains("make the file and its directory writable"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    remount("remount,rw");
    assert_eq!(open(&path).len().unwrap().records, 1);
}
