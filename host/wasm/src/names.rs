//! The names of functions in a component, which serve only the readers of backtraces.
//!
//! wasmtime copies the name of each frame of each trap, however long it is. A name section with
//! names of megabytes would make every trap cost as much.

use wasmparser::{KnownCustom, Name, NameSectionReader, Parser, Payload};

/// The longest name that is kept. It is longer than any compiler's names, and copying 33 such names
/// takes a fraction of a millisecond.
const NAME_BYTES_MAX: usize = 16 * 1024;

const SECTION: &[u8] = b"name";
/// The name of a custom section that nobody reads, as long as [`SECTION`].
const IGNORED: &[u8] = b"long";

/// Hides name sections that have longer names, by renaming the sections: backtraces show numbers
/// then. Bytes that are not a component stay as they are.
pub(super) fn ignore_long_names(component: &mut [u8]) {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else {
            break;
        };
        if let Payload::CustomSection(section) = payload
            && let KnownCustom::Name(names) = section.as_known()
            && has_long_names(names)
        {
            // The name of the section ends where its data begins.
            found.push(section.data_offset());
        }
    }
    for end in found {
        let name = end.checked_sub(SECTION.len()).map(|begin| begin..end);
        if let Some(name) = name.and_then(|name| component.get_mut(name))
            && name == SECTION
        {
            name.copy_from_slice(IGNORED);
        }
    }
}

fn has_long_names(names: NameSectionReader<'_>) -> bool {
    names.into_iter().any(|names| match names {
        Ok(Name::Function(names)) => names
            .into_iter()
            .any(|name| name.is_ok_and(|name| name.name.len() > NAME_BYTES_MAX)),
        Ok(_) | Err(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str) -> Vec<u8> {
        let text = format!(
            "(component (core module (func $short)) (component (core module (func ${name}))))"
        );
        wat::parse_str(text).unwrap()
    }

    fn sections(component: &[u8], name: &[u8]) -> usize {
        let payloads = Parser::new(0).parse_all(component);
        payloads
            .filter(|payload| {
                matches!(payload, Ok(Payload::CustomSection(section)) if section.name().as_bytes() == name)
            })
            .count()
    }

    #[test]
    fn sections_with_long_names_alone_are_ignored() {
        let mut usual = component(&"a".repeat(NAME_BYTES_MAX));
        let before = usual.clone();
        ignore_long_names(&mut usual);
        assert_eq!(usual, before);
        let mut long = component(&"a".repeat(NAME_BYTES_MAX + 1));
        assert_eq!(sections(&long, SECTION), 2);
        ignore_long_names(&mut long);
        assert_eq!(sections(&long, SECTION), 1);
        assert_eq!(sections(&long, IGNORED), 1);
        ignore_long_names(&mut b"\0asm".to_vec());
    }
}
