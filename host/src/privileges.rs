//! Dropping privileges: after the addresses are bound, before the first handler runs.
//!
//! The functions of the C library change every thread of the process. The system calls themselves
//! change the calling thread alone, and a handler would run on another.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, getgrouplist, getgroups, getresgid, getresuid, setgroups, setresgid,
    setresuid,
};

use wsrun_contract::Setting;

/// Who a process becomes: names, or numbers in decimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// The user.
    pub user: Option<String>,
    /// The group; the user's own by default. Supplementary groups become those of the user, without a user this group alone.
    pub group: Option<String>,
}

/// The reason why a process does not take the identity that it was told to take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegeError {
    /// There is no such user.
    #[error(
        "{user} {0}: there is no such user: create it, or name another (getent passwd lists them)", user = Setting("privileges.user"))]
    NoUser(String),
    /// There is no such group.
    #[error(
        "{group} {0}: there is no such group: create it, or name another (getent group lists them)", group = Setting("privileges.group"))]
    NoGroup(String),
    /// A number without an entry in the user database has no primary group.
    #[error(
        "{user} {0}: this number has no entry in the user database: name its group with {group} as well", user = Setting("privileges.user"), group = Setting("privileges.group"))]
    GroupUnknown(String),
    /// The user database cannot be read.
    #[error("cannot look up {name}: {cause}")]
    Lookup {
        /// The user or group.
        name: String,
        /// The error of the system.
        cause: std::io::Error,
    },
    /// The system refused the change.
    #[error(
        "cannot become {target}: {cause}; only root, or a process with CAP_SETUID and CAP_SETGID, can: start it as root, or as that user \
         without {user} and {group}", user = Setting("privileges.user"), group = Setting("privileges.group"))]
    Refused {
        /// The identity that the process was to take.
        target: String,
        /// The error of the system.
        cause: std::io::Error,
    },
    /// The system reported success, but the process has another identity, or could become root
    /// again.
    #[error("privileges were not dropped: {0}; the process must not go on")]
    NotDropped(&'static str),
}

/// Returns true when the process has the rights of root, or can take them back.
pub(crate) fn is_root() -> bool {
    getresuid().is_ok_and(|uids| {
        [uids.real, uids.effective, uids.saved]
            .iter()
            .any(|uid| uid.is_root())
    })
}

/// Returns the user that these privileges name.
pub(crate) fn user_of(privileges: &Privileges) -> Result<Option<Uid>, PrivilegeError> {
    let user = privileges.user.as_deref().map(user).transpose()?;
    Ok(user.map(|(uid, _)| uid))
}

/// The identity that the process is to take, looked up in the user database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    user: Option<Uid>,
    group: Gid,
    /// All supplementary groups, in order.
    groups: Vec<Gid>,
}

impl Identity {
    /// Looks the names up. Returns none when there is nothing to change.
    pub(crate) fn look_up(privileges: &Privileges) -> Result<Option<Self>, PrivilegeError> {
        let named_group = privileges.group.as_deref().map(group).transpose()?;
        let Some(name) = &privileges.user else {
            return Ok(named_group.map(|group| Self {
                user: None,
                group,
                groups: vec![group],
            }));
        };
        let (uid, entry) = user(name)?;
        let group = named_group
            .or_else(|| entry.as_ref().map(|entry| entry.gid))
            .ok_or_else(|| PrivilegeError::GroupUnknown(name.clone()))?;
        let mut groups = match entry {
            Some(entry) => groups_of(&entry, group)?,
            None => vec![group],
        };
        groups.sort_unstable_by_key(|group| group.as_raw());
        groups.dedup();
        Ok(Some(Self {
            user: Some(uid),
            group,
            groups,
        }))
    }

    /// Takes this identity on all threads, and verifies the result.
    ///
    /// # Errors
    ///
    /// Fails when the change is not possible. What was changed until then stays changed.
    pub(crate) fn assume(&self) -> Result<(), PrivilegeError> {
        // A process that is this user already needs no privilege to stay it.
        if self.is_assumed()? {
            return self.check_no_way_back();
        }
        let refused = |errno| self.refused(errno);
        // The user comes last: after giving it up, the process could not change its groups any
        // more.
        setgroups(&self.groups).map_err(refused)?;
        setresgid(self.group, self.group, self.group).map_err(refused)?;
        if let Some(user) = self.user {
            setresuid(user, user, user).map_err(refused)?;
        }
        if !self.is_assumed()? {
            return Err(PrivilegeError::NotDropped(
                "the process is not who it was told to be",
            ));
        }
        self.check_no_way_back()
    }

    fn is_assumed(&self) -> Result<bool, PrivilegeError> {
        let refused = |errno| self.refused(errno);
        let uids = getresuid().map_err(refused)?;
        let gids = getresgid().map_err(refused)?;
        let mut groups = getgroups().map_err(refused)?;
        groups.sort_unstable_by_key(|group| group.as_raw());
        groups.dedup();
        Ok(self
            .user
            .is_none_or(|user| [uids.real, uids.effective, uids.saved] == [user; 3])
            && [gids.real, gids.effective, gids.saved] == [self.group; 3]
            && groups == self.groups)
    }

    /// Verifies that the process cannot become root again, by trying to: a capability may have been
    /// kept.
    fn check_no_way_back(&self) -> Result<(), PrivilegeError> {
        let Some(user) = self.user.filter(|user| !user.is_root()) else {
            return Ok(());
        };
        let root = Uid::from_raw(0);
        if setresuid(root, root, root).is_ok() || setresuid(user, root, user).is_ok() {
            return Err(PrivilegeError::NotDropped("it can become root again"));
        }
        let group = Gid::from_raw(0);
        if self.group != group && setresgid(group, group, group).is_ok() {
            return Err(PrivilegeError::NotDropped(
                "it can become the group of root again",
            ));
        }
        Ok(())
    }

    fn refused(&self, errno: Errno) -> PrivilegeError {
        let target = match self.user {
            Some(user) => format!("user {user} with group {}", self.group),
            None => format!("group {}", self.group),
        };
        PrivilegeError::Refused {
            target,
            cause: errno.into(),
        }
    }
}

/// Looks up a user by name, else by number.
fn user(name: &str) -> Result<(Uid, Option<User>), PrivilegeError> {
    let lookup = |errno| lookup(name, errno);
    if let Some(entry) = User::from_name(name).or_else(absent).map_err(lookup)? {
        return Ok((entry.uid, Some(entry)));
    }
    let Some(uid) = number(name).map(Uid::from_raw) else {
        return Err(PrivilegeError::NoUser(name.to_owned()));
    };
    let entry = User::from_uid(uid).or_else(absent).map_err(lookup)?;
    Ok((uid, entry))
}

/// Looks up a group by name, else by number.
fn group(name: &str) -> Result<Gid, PrivilegeError> {
    let entry = Group::from_name(name)
        .or_else(absent)
        .map_err(|errno| lookup(name, errno))?;
    entry
        .map(|entry| entry.gid)
        .or_else(|| number(name).map(Gid::from_raw))
        .ok_or_else(|| PrivilegeError::NoGroup(name.to_owned()))
}

fn groups_of(user: &User, group: Gid) -> Result<Vec<Gid>, PrivilegeError> {
    let name =
        CString::new(user.name.as_str()).map_err(|_| PrivilegeError::NoUser(user.name.clone()))?;
    getgrouplist(&name, group).map_err(|errno| lookup(&user.name, errno))
}

/// Parses the number of a user or group. The highest number is none: to the system calls it means
/// "leave as it is".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

/// Returns none for a user database that does not exist.
fn absent<T>(errno: Errno) -> Result<Option<T>, Errno> {
    if errno == Errno::ENOENT {
        Ok(None)
    } else {
        Err(errno)
    }
}

fn lookup(name: &str, errno: Errno) -> PrivilegeError {
    PrivilegeError::Lookup {
        name: name.to_owned(),
        cause: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(
        user: Option<&str>,
        group: Option<&str>,
    ) -> Result<Option<Identity>, PrivilegeError> {
        Identity::look_up(&Privileges {
            user: user.map(str::to_owned),
            group: group.map(str::to_owned),
        })
    }

    #[test]
    fn user_brings_its_groups() {
        let root = look_up(Some("root"), None).unwrap().unwrap();
        assert_eq!(root.user, Some(Uid::from_raw(0)));
        assert_eq!(root.group, Gid::from_raw(0));
        assert!(root.groups.contains(&Gid::from_raw(0)));
        assert_eq!(look_up(Some("0"), None).unwrap().unwrap(), root);
    }

    #[test]
    fn group_alone_replaces_all_groups() {
        let identity = look_up(None, Some("7777")).unwrap().unwrap();
        let group = Gid::from_raw(7777);
        assert_eq!(
            identity,
            Identity {
                user: None,
                group,
                groups: vec![group]
            }
        );
        assert_eq!(look_up(None, None).unwrap(), None);
    }

    #[test]
    fn process_that_is_it_already_needs_no_privilege() {
        let mut groups = getgroups().unwrap();
        groups.sort_unstable_by_key(|group| group.as_raw());
        let identity = Identity {
            user: Some(getresuid().unwrap().effective),
            group: getresgid().unwrap().effective,
            groups,
        };
        identity.assume().unwrap();
    }

    #[test]
    fn number_without_an_entry_needs_a_group() {
        assert!(matches!(
            look_up(Some("54321987"), None),
            Err(PrivilegeError::GroupUnknown(_))
        ));
        let identity = look_up(Some("54321987"), Some("7777")).unwrap().unwrap();
        assert_eq!(identity.groups, [Gid::from_raw(7777)]);
    }

    #[test]
    fn unknown_names_are_told() {
        for wrong in ["no-such-user-here", "-1", "4294967295", ""] {
            assert!(
                matches!(look_up(Some(wrong), None), Err(PrivilegeError::NoUser(_))),
                "{wrong}"
            );
            assert!(
                matches!(look_up(None, Some(wrong)), Err(PrivilegeError::NoGroup(_))),
                "{wrong}"
            );
        }
    }
}
