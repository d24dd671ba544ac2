//! What `std::any::type_name` says about a type, cut to size.

/// The type's path without its generic arguments: `crate::module::Type`.
pub(crate) fn path(type_name: &str) -> &str {
    let named =
        type_name.trim_start_matches('&').trim_start_matches("mut ").trim_start_matches("dyn ");
    let end = named.find(['<', ' ']).unwrap_or(named.len());
    &named[..end]
}

/// The type's own name: `Type`.
pub(crate) fn last_word(type_name: &str) -> &str {
    let path = path(type_name);
    path.rsplit("::").next().unwrap_or(path)
}

/// Whether a type is the one called `wanted`, or a pointer, a guard or a cell's borrow that leads
/// to one.
pub(crate) fn reaches(type_name: &str, wanted: &str) -> bool {
    let wanted = pointee(wanted);
    // Most receivers are something else altogether.
    let is_object = wanted.starts_with("dyn ");
    if !is_object && !type_name.trim_end_matches('>').ends_with(wanted.trim_end_matches('>')) {
        return false;
    }
    let mut name = type_name;
    loop {
        let inner = pointee(name);
        if inner == wanted {
            return true;
        }
        match behind_smart_pointer(inner) {
            Some(target) => name = target,
            None => return false,
        }
    }
}

/// A type without the references in front of it, and a trait object without its auto traits.
fn pointee(mut name: &str) -> &str {
    while let Some(referent) = name.strip_prefix('&') {
        name = referent.strip_prefix("mut ").unwrap_or(referent);
    }
    if !name.starts_with("dyn ") {
        return name;
    }
    name.split(" + core::marker::").next().unwrap_or(name)
}

/// What a smart pointer of the standard library, or a lock's guard, points to.
fn behind_smart_pointer(name: &str) -> Option<&str> {
    const POINTERS: [&str; 14] = [
        "Box",
        "Rc",
        "Arc",
        "Pin",
        "Ref",
        "RefMut",
        "ManuallyDrop",
        "MutexGuard",
        "MappedMutexGuard",
        "OwnedMutexGuard",
        "RwLockReadGuard",
        "RwLockWriteGuard",
        "RwLockMappedWriteGuard",
        "ReentrantLockGuard",
    ];
    let (pointer, arguments) = name.strip_suffix('>')?.split_once('<')?;
    let pointer = pointer.rsplit("::").next()?;
    POINTERS.contains(&pointer).then(|| last_argument(arguments))
}

/// The last of a type's arguments: lock guards of other crates name the raw lock first.
fn last_argument(arguments: &str) -> &str {
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, character) in arguments.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    arguments[start..].trim_start()
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::collections::BTreeMap;
    use std::fmt::Display;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::sync::Arc;

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
    fn pointers_and_guards_lead_to_what_they_point_to() {
        fn leads<T: ?Sized, W: ?Sized>() -> bool {
            reaches(type_name::<T>(), type_name::<W>())
        }
        assert!(leads::<String, String>());
        assert!(leads::<&mut &String, String>());
        assert!(leads::<Pin<Box<String>>, String>());
        assert!(leads::<Arc<Rc<String>>, String>());
        assert!(leads::<std::cell::RefMut<'_, String>, String>());
        assert!(leads::<std::sync::MutexGuard<'_, BTreeMap<u8, String>>, BTreeMap<u8, String>>());
        assert!(leads::<&std::sync::RwLockReadGuard<'_, String>, &String>());
        assert!(leads::<Box<dyn Display + Send + Sync>, dyn Display>());
        assert!(!leads::<Vec<String>, String>());
        assert!(!leads::<Option<String>, String>());
        assert!(!leads::<BTreeMap<u8, String>, String>());
        assert!(!leads::<BTreeMap<u8, String>, BTreeMap<String, String>>());
        assert!(!leads::<Box<dyn Display>, dyn std::fmt::Debug>());
        assert!(!leads::<Arc<String>, Rc<String>>());
    }

    #[test]
    fn a_lock_guard_of_another_crate_may_name_its_raw_lock() {
        let guard =
            "lock_api::mutex::MutexGuard<parking_lot::raw_mutex::RawMutex, hello::Client<u8>>";
        assert!(reaches(guard, "hello::Client<u8>"));
        assert!(!reaches(guard, "hello::Client<u16>"));
    }

    #[test]
    fn a_word_is_itself() {
        assert_eq!(last_word("u8"), "u8");
        assert_eq!(path(""), "");
    }
}
