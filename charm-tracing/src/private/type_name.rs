//! What `std::any::type_name` says about a type, cut to size.

/// The type's path without its generic arguments: `crate::module::Type`.
pub(super) fn path(type_name: &str) -> &str {
    let named =
        type_name.trim_start_matches('&').trim_start_matches("mut ").trim_start_matches("dyn ");
    let end = named.find(['<', ' ']).unwrap_or(named.len());
    &named[..end]
}

/// The type's own name: `Type`.
pub(super) fn last_word(type_name: &str) -> &str {
    let path = path(type_name);
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::collections::BTreeMap;
    use std::fmt::Display;

    use super::*;

    #[test]
    fn the_path_has_no_arguments() {
        let name = type_name::<BTreeMap<String, Vec<u8>>>();
        assert!(path(name).ends_with("::BTreeMap"), "{name}");
        assert_eq!(last_word(name), "BTreeMap");
    }

    #[test]
    fn references_and_trait_objects_are_known_by_what_they_are_of() {
        assert_eq!(last_word(type_name::<&mut String>()), "String");
        assert_eq!(last_word(type_name::<dyn Display + Send>()), "Display");
    }

    #[test]
    fn a_word_is_itself() {
        assert_eq!(last_word("u8"), "u8");
        assert_eq!(path(""), "");
    }
}
