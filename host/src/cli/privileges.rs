//! The options about the user that the process runs as: `--user`, `--group`, `--allow-root`.

use super::failure::Failure;
use crate::config::Privileges;
use crate::privileges;

#[derive(Debug, clap::Args)]
pub(super) struct PrivilegeArgs {
    /// The user to become after binding, before a handler runs: a name or a number
    #[arg(long, value_name = "NAME", help_heading = "Privileges")]
    user: Option<String>,
    /// The group to become then [default: the user's]; supplementary groups are the user's, or none
    #[arg(long, value_name = "NAME", help_heading = "Privileges")]
    group: Option<String>,
    /// Runs handlers as root, which is refused otherwise
    #[arg(long, help_heading = "Privileges")]
    allow_root: bool,
}

impl PrivilegeArgs {
    pub(super) fn is_given(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    pub(super) fn into_config(self) -> Result<Option<Privileges>, Failure> {
        let privileges = Privileges {
            user: self.user,
            group: self.group,
        };
        let usage = |error| Failure::usage(anyhow::Error::from(error));
        let stays_root = match privileges::user_of(&privileges).map_err(usage)? {
            Some(user) => user.is_root(),
            None => privileges::is_root(),
        };
        if stays_root && !self.allow_root {
            return Err(Failure::usage(anyhow::anyhow!(
                "this would run a handler as root: name a user to become once everything is bound (--user NAME), or say that it shall be \
                 so (--allow-root)"
            )));
        }
        Ok((privileges != Privileges::default()).then_some(privileges))
    }
}
