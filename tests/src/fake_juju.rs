//! What Juju knows of the unit that a charm under test runs on: a folder that the test and the hook
//! tools read and write.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) type Databag = BTreeMap<String, String>;

/// What Juju knows of the unit that the charm runs on: a folder that the tools read and write.
#[derive(Debug)]
pub struct FakeJuju {
    folder: PathBuf,
}

/// One relation of the unit's application.
pub(crate) struct Relation {
    pub(crate) remote: String,
    pub(crate) units: Vec<String>,
    pub(crate) broken: bool,
    /// By who wrote them: an application or a unit.
    pub(crate) databags: BTreeMap<String, Databag>,
}

impl FakeJuju {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Makes the unit the leader of its application, or not. It is, until something else is said.
    pub fn lead(&self, leads: bool) {
        self.write("leader", &json!(leads));
    }

    /// The configuration that an operator has set.
    pub fn configure<'a>(&self, config: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.write("config", &config.into_iter().collect());
    }

    /// The parameters of the action that the next executions run.
    pub fn run_action<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.write("action", &parameters.into_iter().collect());
    }

    /// Relates the unit's application to `remote`; `id` is `tracing:3`. It has no units yet.
    pub fn relate(&self, id: &str, remote: &str) {
        let relation = Relation {
            remote: remote.to_owned(),
            units: Vec::new(),
            broken: false,
            databags: BTreeMap::new(),
        };
        self.write_relation(id, &relation);
    }

    /// A unit of the remote application joins.
    pub fn join(&self, id: &str, unit: &str) {
        self.edit(id, |relation| relation.units.push(unit.to_owned()));
    }

    /// The application or unit `who` says `value` under `key`; an empty one takes it back.
    pub fn say(&self, id: &str, who: &str, key: &str, value: &str) {
        self.edit(id, |relation| {
            let databag = relation.databags.entry(who.to_owned()).or_default();
            set(databag, key, value);
        });
    }

    /// The tracing backend `who` says that it receives OTLP over HTTP at `url`.
    pub fn offer(&self, id: &str, who: &str, url: &str) {
        let receivers = json!([{"protocol": {"name": "otlp_http", "type": "http"}, "url": url}]);
        self.say(id, who, "receivers", &receivers.to_string());
    }

    /// What the application or unit `who` says.
    pub fn said(&self, id: &str, who: &str) -> Databag {
        let relation = self.relation(id);
        relation.and_then(|relation| relation.databags.get(who).cloned()).unwrap_or_default()
    }

    /// The relation is being broken: for as long as it is still there nobody may read it.
    pub fn break_up(&self, id: &str) {
        self.edit(id, |relation| {
            relation.broken = true;
            relation.units.clear();
        });
    }

    /// The relation is gone.
    pub fn remove(&self, id: &str) {
        // It may never have been there.
        let _ = fs::remove_file(self.file("relations", id));
    }

    /// The results that the action has set.
    pub fn action_results(&self) -> Value {
        self.read("action-results").unwrap_or(Value::Null)
    }

    /// The content of all secrets, by id.
    pub fn secrets(&self) -> Value {
        self.read("secrets").unwrap_or_else(|| json!({}))
    }

    /// What the charm keeps with `state-set`.
    pub fn charm_state(&self) -> Value {
        self.read("state").unwrap_or_else(|| json!({}))
    }

    /// The tools that were called, with their arguments, but for `juju-log`; and forgets them.
    pub fn take_calls(&self) -> Vec<String> {
        let path = self.folder.join("calls");
        let calls = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        calls.lines().map(str::to_owned).collect()
    }

    pub(crate) fn leads(&self) -> bool {
        self.read("leader").is_none_or(|leads| leads == json!(true))
    }

    pub(crate) fn relation(&self, id: &str) -> Option<Relation> {
        let kept = self.read_file(&self.file("relations", id))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let databags = kept["databags"].as_object().into_iter().flatten();
        Some(Relation {
            remote: text(&kept["remote"]),
            units: kept["units"].as_array().into_iter().flatten().map(text).collect(),
            broken: kept["broken"] == json!(true),
            databags: databags
                .map(|(who, databag)| {
                    let pairs = databag.as_object().into_iter().flatten();
                    (who.clone(), pairs.map(|(key, value)| (key.clone(), text(value))).collect())
                })
                .collect(),
        })
    }

    fn write_relation(&self, id: &str, relation: &Relation) {
        let Relation { remote, units, broken, databags } = relation;
        let kept = json!({
            "remote": remote, "units": units, "broken": broken, "databags": databags,
        });
        self.write_file(&self.file("relations", id), &kept);
    }

    #[expect(clippy::expect_used, reason = "a test that speaks of no relation has a mistake")]
    fn edit(&self, id: &str, change: impl FnOnce(&mut Relation)) {
        let mut relation = self.relation(id).expect("a relation that was made by `relate`");
        change(&mut relation);
        self.write_relation(id, &relation);
    }

    /// The ids of the relations by that name.
    pub(crate) fn relation_ids(&self, name: &str) -> Vec<String> {
        let files = fs::read_dir(self.folder.join("relations")).into_iter().flatten().flatten();
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        let mut ids: Vec<String> = names.filter(|id| id.split(':').next() == Some(name)).collect();
        ids.sort();
        ids
    }

    fn file(&self, folder: &str, name: &str) -> PathBuf {
        self.folder.join(folder).join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Option<Value> {
        self.read_file(&self.folder.join(name))
    }

    pub(crate) fn write(&self, name: &str, value: &Value) {
        self.write_file(&self.folder.join(name), value);
    }

    #[expect(clippy::unused_self, reason = "the counterpart of `write_file`")]
    fn read_file(&self, path: &Path) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }

    #[expect(clippy::expect_used, reason = "a tool without its state can do nothing")]
    fn write_file(&self, path: &Path, value: &Value) {
        fs::create_dir_all(path.parent().unwrap_or(&self.folder)).expect("make the state's folder");
        fs::write(path, value.to_string()).expect("write the state");
    }

    /// Appends a line to what a tool keeps.
    pub(crate) fn note(&self, name: &str, line: &str) -> Result<(), String> {
        let told = |error: io::Error| error.to_string();
        fs::create_dir_all(&self.folder).map_err(told)?;
        let file = OpenOptions::new().create(true).append(true).open(self.folder.join(name));
        writeln!(file.map_err(told)?, "{}", line.replace('\n', " ")).map_err(told)
    }
}

fn set(databag: &mut Databag, key: &str, value: &str) {
    if value.is_empty() {
        databag.remove(key);
    } else {
        databag.insert(key.to_owned(), value.to_owned());
    }
}
