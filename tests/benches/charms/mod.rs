//! The charms of `tests/charms`, built as their users build them: each for itself, so that the
//! features of one do not reach another. What is measured of them is the benchmarks' own.

#![allow(dead_code, reason = "no benchmark measures all the charms")]

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::report::Progress;

/// One way to trace the same charm, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charm {
    Untraced,
    Ours,
    /// Traced calls where tracing is compiled out, and nothing else.
    CompiledOut,
    Usual,
    UsualHttps,
    UsualTracing,
    UsualTracingHttps,
}

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As it is used.
    Release,
    /// The same code, with the names of its functions.
    Profiling,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Profiling => "profiling",
        }
    }
}

impl Charm {
    /// As figures name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Ours => "charm-tracing",
            Self::CompiledOut => "compiled-out",
            Self::Usual => "usual",
            Self::UsualHttps => "usual-https",
            Self::UsualTracing => "usual-tracing",
            Self::UsualTracingHttps => "usual-tracing-https",
        }
    }

    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Untraced => "untraced",
            Self::Ours => "ours",
            Self::CompiledOut => "compiled-out",
            Self::Usual | Self::UsualHttps => "usual",
            Self::UsualTracing | Self::UsualTracingHttps => "usual-tracing",
        }
    }

    pub(crate) fn features(self) -> &'static [&'static str] {
        match self {
            Self::UsualHttps | Self::UsualTracingHttps => &["--features", "https"],
            _ => &[],
        }
    }

    /// Builds it; what was built before is there.
    pub(crate) fn build(self, profile: Profile, progress: Progress) -> io::Result<PathBuf> {
        progress.begin(&format!("building {}", self.name()));
        let built = build(self.package(), self.features(), profile)?;
        let programs = folder().join("programs").join(profile.name());
        fs::create_dir_all(&programs)?;
        // The next one of the same package is built over it.
        let program = programs.join(self.name());
        fs::copy(built, &program)?;
        Ok(program)
    }
}

/// Builds one package; where its program is until the next build.
pub(crate) fn build(package: &str, features: &[&str], profile: Profile) -> io::Result<PathBuf> {
    cargo(&["build", "--profile", profile.name(), "--package", package], features)?;
    Ok(folder().join(profile.name()).join(package))
}

/// Runs cargo in the charms' workspace; what it says on stdout.
pub(crate) fn cargo(arguments: &[&str], features: &[&str]) -> io::Result<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).args(features).args(["--locked", "--quiet"]);
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("charms"));
    // Flags that somebody has for other builds would make other programs of these.
    for (name, _) in env::vars_os().filter(|(name, _)| changes_code(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let output = cargo.env("CARGO_TARGET_DIR", folder()).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(format!("cargo {} {}", arguments.join(" "), features.join(" "))))
    }
}

fn changes_code(variable: &str) -> bool {
    let named = ["CARGO_INCREMENTAL", "CARGO_BUILD_TARGET"].contains(&variable);
    named || variable.ends_with("RUSTFLAGS") || variable.starts_with("CARGO_PROFILE_")
}

/// Where all of it is built, whoever asks.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("charms")
}
