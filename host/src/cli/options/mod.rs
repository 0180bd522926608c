//! The options of handlers and connections, in groups that each fill the settings of one part.

pub(super) mod compilation;
pub(super) mod handler;
pub(super) mod limits;
pub(super) mod logging;
pub(super) mod outbound;
pub(super) mod protocol;

use std::collections::BTreeMap;

use super::failure::Failure;

/// Collects pairs into a map. A name that is given twice is an error, since either value could be
/// meant.
pub(in crate::cli) fn each_once<T: Clone>(
    flag: &str,
    pairs: &[(String, T)],
) -> Result<BTreeMap<String, T>, Failure> {
    let mut map = BTreeMap::new();
    for (name, value) in pairs {
        if map.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(anyhow::anyhow!(
                "{flag} {name}=… is given twice: a name has one value"
            )));
        }
    }
    Ok(map)
}

pub(super) fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
