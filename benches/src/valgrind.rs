//! Programs under valgrind.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What counts the instructions of the program that is added to it, and prints the count to standard error when the program ends.
pub(crate) fn command() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("valgrind");
    // Cachegrind without a cache counts instructions and nothing else: the stacks of callbacks, which are switched, do not confuse it.
    command.args([
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
    ]);
    Ok(command)
}

/// Becomes valgrind. Returns only if that fails.
///
/// rustix asks the kernel for the auxiliary vector by `prctl(PR_GET_AUXV)` and, where that fails, reads `/proc/self/auxv`. Valgrind 3.19
/// shows its own version of that file, in which there is no vDSO, but lets the call through: the program would look for the vDSO where
/// valgrind has nothing mapped, and crash. So the call is made to fail.
pub(crate) fn exec(arguments: &[OsString]) -> anyhow::Error {
    if let Err(error) = refuse_auxv() {
        return error;
    }
    let error = Command::new("valgrind").args(arguments).exec();
    anyhow::Error::new(error).context("cannot start valgrind")
}

fn refuse_auxv() -> anyhow::Result<()> {
    let condition =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_GET_AUXV)?;
    let rule = SeccompRule::new(vec![condition])?;
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_prctl, vec![rule])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EINVAL.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program).context("cannot set a filter on system calls")
}

const PR_GET_AUXV: u64 = 0x4155_5856;
