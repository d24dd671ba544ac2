//! The figures that are committed, and the compiler that they are of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::callgrind::Counted;

/// What an earlier run counted.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) compiler: String,
    pub(crate) counted: Counted,
}

/// One figure beside the committed one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared {
    pub(crate) what: &'static str,
    pub(crate) now: u32,
    pub(crate) then: u32,
}

const CALL: &str = "traced call";
const END: &str = "end of execution";

impl Committed {
    pub(crate) fn read() -> io::Result<Self> {
        let read: Value = serde_json::from_str(&fs::read_to_string(path())?)?;
        let missing = |name: &str| io::Error::other(format!("{} has no {name}", path().display()));
        let count = |name: &str| {
            let count = read[name].as_u64().and_then(|count| u32::try_from(count).ok());
            count.ok_or_else(|| missing(name))
        };
        Ok(Self {
            compiler: read["compiler"].as_str().ok_or_else(|| missing("compiler"))?.to_owned(),
            counted: Counted { traced_call: count(CALL)?, end_of_execution: count(END)? },
        })
    }

    pub(crate) fn write(&self) -> io::Result<()> {
        let Counted { traced_call, end_of_execution } = self.counted;
        let figures =
            json!({ "compiler": self.compiler, CALL: traced_call, END: end_of_execution });
        fs::write(path(), format!("{figures:#}\n"))
    }

    /// What is counted, now and then.
    pub(crate) fn beside(&self, now: Counted) -> [Compared; 2] {
        let then = self.counted;
        [
            Compared { what: CALL, now: now.traced_call, then: then.traced_call },
            Compared { what: END, now: now.end_of_execution, then: then.end_of_execution },
        ]
    }
}

impl Compared {
    pub(crate) fn ratio(self) -> f64 {
        f64::from(self.now) / f64::from(self.then)
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/committed.json")
}

/// The compiler that builds the charms, what for, and the C library whose instructions are counted
/// too.
pub(crate) fn compiler() -> io::Result<String> {
    let rustc = Command::new("rustc").arg("-vV").output()?;
    let said = String::from_utf8_lossy(&rustc.stdout);
    let of = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?");
    Ok(format!("rustc {} for {}, {}", of("release: "), of("host: "), c_library()))
}

/// As the C library itself says; another than GNU's says nothing there.
fn c_library() -> String {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    said.ok().filter(|said| !said.is_empty()).unwrap_or_else(|| "a C library".to_owned())
}
