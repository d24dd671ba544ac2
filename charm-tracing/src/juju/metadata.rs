//! The charm's own name, from the files that every charm carries.

use std::fs;
use std::path::Path;

/// The `name` in `metadata.yaml`, else in `charmcraft.yaml`, of the charm in `charm_dir`.
pub(crate) fn charm_name(charm_dir: &Path) -> Option<String> {
    ["metadata.yaml", "charmcraft.yaml"].iter().find_map(|file| {
        let text = fs::read_to_string(charm_dir.join(file)).ok()?;
        top_level_name(&text)
    })
}

/// The scalar of the top-level key `name`. Charm names are `[a-z][a-z0-9-]*`, so that this one key
/// needs no YAML parser in every charm's binary.
fn top_level_name(yaml: &str) -> Option<String> {
    let value = yaml.lines().find_map(|line| line.strip_prefix("name:"))?;
    let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::top_level_name;

    #[test]
    fn name_is_the_top_level_scalar() {
        let yaml = "summary: x\nparts:\n  name: no\nname: 'hello-k8s' # the charm\n";
        assert_eq!(top_level_name(yaml).as_deref(), Some("hello-k8s"));
        assert_eq!(top_level_name("title: name\n"), None);
        assert_eq!(top_level_name("name:\n  - odd\n"), None);
    }
}
