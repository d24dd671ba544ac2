//! Hook tools as Juju puts them on a charm's `PATH`, for charms that no Juju runs: one program that
//! is called by many names and keeps in a folder what it is told.
//!
//! They answer as the real ones do, errors included: who may read and write which databag, what a
//! follower is denied, and that some of their messages quote what they were given.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::SigSet;
use serde_json::{Map, Value, json};

use crate::fake_juju::{Databag, FakeJuju, Relation};

/// The names that the tools are called by.
pub const NAMES: [&str; 19] = [
    "action-fail",
    "action-get",
    "action-log",
    "action-set",
    "config-get",
    "is-leader",
    "juju-log",
    "relation-get",
    "relation-ids",
    "relation-list",
    "relation-set",
    "secret-add",
    "secret-get",
    "secret-remove",
    "secret-set",
    "state-delete",
    "state-get",
    "state-set",
    "status-set",
];

/// Where the tools keep their state.
pub const STATE_VARIABLE: &str = "FAKE_JUJU_STATE";

/// A file that `juju-log` opens and reads before it does anything: a pipe holds it up.
pub const LOG_GATE_VARIABLE: &str = "FAKE_JUJU_LOG_GATE";

/// Acts as a hook tool if this process was called by the name of one.
pub fn main() -> Option<ExitCode> {
    let mut arguments = env::args();
    let called = arguments.next()?;
    let name = Path::new(&called).file_name()?.to_str()?;
    let tool = NAMES.into_iter().find(|tool| *tool == name)?;
    let call = Call::of(tool, arguments.collect());
    Some(match act(&call) {
        Ok(answer) => {
            let _ = write!(io::stdout(), "{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            // As the real ones do.
            let _ = writeln!(io::stderr(), "ERROR {error}");
            ExitCode::FAILURE
        }
    })
}

/// What a tool was called with.
struct Call {
    tool: &'static str,
    arguments: Vec<String>,
    /// Options with their values.
    options: BTreeMap<String, String>,
    /// What is no option.
    words: Vec<String>,
}

impl Call {
    const WITH_VALUE: [&str; 7] =
        ["--format", "--log-level", "--file", "--label", "--owner", "--description", "-r"];

    fn of(tool: &'static str, arguments: Vec<String>) -> Self {
        let (mut options, mut words) = (BTreeMap::new(), Vec::new());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            if argument == "--" {
                words.extend(rest.by_ref().cloned());
            } else if argument == "-" || !argument.starts_with('-') {
                words.push(argument.clone());
            } else if Self::WITH_VALUE.contains(&argument.as_str()) {
                options.insert(argument.clone(), rest.next().cloned().unwrap_or_default());
            } else {
                options.insert(name.to_owned(), value.to_owned());
            }
        }
        Self { tool, arguments, options, words }
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn word(&self, place: usize) -> Option<&str> {
        self.words.get(place).map(String::as_str)
    }

    /// The answer in the format that is asked for.
    fn answer(&self, value: &Value) -> String {
        match (self.option("--format"), value) {
            (Some("json"), value) => format!("{value}\n"),
            (_, Value::Null) => String::new(),
            (_, Value::String(text)) => format!("{text}\n"),
            (_, Value::Bool(true)) => "True\n".to_owned(),
            (_, Value::Bool(false)) => "False\n".to_owned(),
            (_, Value::Array(lines)) => {
                lines.iter().filter_map(Value::as_str).flat_map(|line| [line, "\n"]).collect()
            }
            (_, value) => format!("{value}\n"),
        }
    }

    /// `key=value` words, and what `--file` names. The messages are the real tools' own: some quote
    /// what they cannot read.
    fn pairs(&self) -> Result<Databag, String> {
        let mut pairs = match self.option("--file") {
            Some("-") => pairs_in(&read_stdin()?)?,
            Some(path) => pairs_in(
                &fs::read_to_string(path).map_err(|error| format!("open {path}: {error}"))?,
            )?,
            None => Databag::new(),
        };
        for word in &self.words {
            let (key, value) =
                word.split_once('=').ok_or(format!("expected \"key=value\", got {word:?}"))?;
            let is_sane =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._#".contains(c);
            if key.is_empty() || !key.chars().all(is_sane) {
                return Err(format!("key {key:?} of {word:?} not valid"));
            }
            pairs.insert(key.to_owned(), value.to_owned());
        }
        Ok(pairs)
    }
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// JSON, which is YAML. What is not an object is quoted in the message, cut as Go's parser cuts it.
fn pairs_in(text: &str) -> Result<Databag, String> {
    let Ok(Value::Object(pairs)) = serde_json::from_str(text) else {
        let begin: String = text.trim().chars().take(7).collect();
        return Err(format!("yaml: cannot unmarshal !!str `{begin}...` into map[string]string"));
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Ok(pairs.into_iter().map(|(key, value)| (key, text(value))).collect())
}

fn act(call: &Call) -> Result<String, String> {
    let folder = env::var_os(STATE_VARIABLE).map(PathBuf::from);
    let juju = folder.map(FakeJuju::at).ok_or("not run by a test")?;
    if call.tool == "juju-log" {
        return juju_log(call, &juju);
    }
    juju.note("calls", format!("{} {}", call.tool, call.arguments.join(" ")).trim_end())?;
    match call.tool {
        "is-leader" => Ok(call.answer(&json!(juju.leads()))),
        "config-get" => Ok(config_get(call, &juju)),
        "relation-ids" => relation_ids(call, &juju),
        "relation-list" => relation_list(call, &juju),
        "relation-get" => relation_get(call, &juju),
        "relation-set" => relation_set(call, &juju),
        "state-get" => Ok(call.answer(&picked(juju.charm_state(), call.word(0)))),
        "state-set" => Ok(keep(call.pairs()?, "state", &juju)),
        "state-delete" => Ok(keep([(word(call, 0)?, String::new())].into(), "state", &juju)),
        "secret-add" | "secret-set" | "secret-get" | "secret-remove" => secret(call, &juju),
        "action-get" => action_get(call, &juju),
        "action-set" => Ok(keep(call.pairs()?, "action-results", &juju)),
        tool => juju.note(tool, &call.arguments.join(" ")).map(|()| String::new()),
    }
}

/// `LEVEL message`
fn juju_log(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    if let Some(gate) = env::var_os(LOG_GATE_VARIABLE) {
        File::open(gate).map_err(|error| error.to_string())?;
    }
    // A tool hears what the charm hears, whichever thread has started it.
    if SigSet::thread_get_mask() != Ok(SigSet::empty()) {
        juju.note("juju-log", "ERROR juju-log was started deaf to signals")?;
    }
    let level = call.option("--log-level").unwrap_or("INFO");
    juju.note("juju-log", &format!("{level} {}", call.words.join(" ")))?;
    Ok(String::new())
}

fn config_get(call: &Call, juju: &FakeJuju) -> String {
    call.answer(&picked(juju.read("config").unwrap_or_else(|| json!({})), call.word(0)))
}

fn relation_ids(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    let own = env::var("JUJU_RELATION").ok().filter(|name| !name.is_empty());
    let name = call.word(0).map(str::to_owned).or(own);
    let name = name.ok_or("no endpoint name specified")?;
    Ok(call.answer(&json!(juju.relation_ids(&name))))
}

/// The relation that `-r` or the event names, with its id.
fn relation_of(call: &Call, juju: &FakeJuju) -> Result<(String, Relation), String> {
    let own = env::var("JUJU_RELATION_ID").ok();
    let id = call.option("-r").map(str::to_owned).or(own).ok_or("no relation id specified")?;
    match juju.relation(&id) {
        Some(relation) => Ok((id, relation)),
        None => Err(format!("invalid value {id:?} for option -r: relation not found")),
    }
}

fn relation_list(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    let (_, relation) = relation_of(call, juju)?;
    let is_app = call.option("--app").is_some();
    Ok(call.answer(&if is_app { json!(relation.remote) } else { json!(relation.units) }))
}

/// The unit and application that the charm is.
fn own_names() -> (String, String) {
    let unit = env::var("JUJU_UNIT_NAME").unwrap_or_default();
    let application = unit.split('/').next().unwrap_or_default().to_owned();
    (unit, application)
}

fn relation_get(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    let (_, relation) = relation_of(call, juju)?;
    let (own_unit, own_application) = own_names();
    let whose = call.word(1).unwrap_or(&own_unit);
    let is_own = whose == own_unit || whose == own_application;
    let is_leaders = whose == own_application && call.option("--app").is_some();
    if (is_leaders && !juju.leads()) || (relation.broken && !is_own) {
        return Err("permission denied".to_owned());
    }
    let databag = relation.databags.get(whose).cloned().unwrap_or_default();
    let key = call.word(0).filter(|key| *key != "-");
    Ok(call.answer(&picked(json!(databag), key)))
}

fn relation_set(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    let (id, relation) = relation_of(call, juju)?;
    let (own_unit, own_application) = own_names();
    let pairs = call.pairs()?;
    let is_app = call.option("--app").is_some();
    if relation.broken || (is_app && !juju.leads()) {
        return Err("cannot write relation settings: permission denied".to_owned());
    }
    let who = if is_app { own_application } else { own_unit };
    for (key, value) in pairs {
        juju.say(&id, &who, &key, &value);
    }
    Ok(String::new())
}

fn secret(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    let mut secrets = juju.secrets();
    let known = secrets.as_object_mut().ok_or("secrets are no object")?;
    if call.tool == "secret-add" {
        let content = call.pairs()?;
        if content.is_empty() {
            return Err("missing secret value".to_owned());
        }
        let id = format!("secret:{:020}", known.len());
        known.insert(id.clone(), json!(content));
        juju.write("secrets", &secrets);
        return Ok(format!("{id}\n"));
    }
    let id = word(call, 0)?;
    let content = known.get(&id).cloned().ok_or(format!("secret {id:?} not found"))?;
    match call.tool {
        "secret-get" => return Ok(call.answer(&picked(content, call.word(1)))),
        "secret-remove" => drop(known.remove(&id)),
        _ => {
            let content =
                Call { words: call.words[1..].to_vec(), ..Call::of(call.tool, Vec::new()) };
            known.insert(id, json!(content.pairs()?));
        }
    }
    juju.write("secrets", &secrets);
    Ok(String::new())
}

fn action_get(call: &Call, juju: &FakeJuju) -> Result<String, String> {
    if env::var_os("JUJU_ACTION_NAME").is_none() {
        return Err("not running an action".to_owned());
    }
    Ok(call.answer(&picked(juju.read("action").unwrap_or_else(|| json!({})), call.word(0))))
}

/// Adds to what is kept under `name`; an empty value takes its key away.
fn keep(pairs: Databag, name: &str, juju: &FakeJuju) -> String {
    let mut kept = match juju.read(name) {
        Some(Value::Object(kept)) => kept,
        _ => Map::new(),
    };
    for (key, value) in pairs {
        if value.is_empty() {
            kept.remove(&key);
        } else {
            kept.insert(key, Value::String(value));
        }
    }
    juju.write(name, &Value::Object(kept));
    String::new()
}

fn word(call: &Call, place: usize) -> Result<String, String> {
    call.word(place).map(str::to_owned).ok_or(format!("{}: missing argument", call.tool))
}

/// All of it, or what stands under a key.
fn picked(value: Value, key: Option<&str>) -> Value {
    match key {
        None => value,
        Some(key) => value.get(key).cloned().unwrap_or(Value::Null),
    }
}
