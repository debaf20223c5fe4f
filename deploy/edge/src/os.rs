//! Two features of Linux that no safe wrapper offers. On other systems, a supervisor that is killed leaves its workerd running.

use std::{net::TcpListener, process::Command};

/// Makes the kernel kill the process when the thread that starts it ends.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the only way to ask the kernel for this is between fork and exec")]
pub(crate) fn end_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure makes two system calls, which is allowed between fork and exec.
    unsafe {
        let (kill, parent) = (Some(rustix::process::Signal::KILL), rustix::process::getpid());
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(kill)?;
            // The parent may have ended before the kernel was asked.
            let orphaned = rustix::process::getppid() != Some(parent);
            if orphaned { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        });
    }
}

/// Leaves a connection in the socket until its first bytes are there.
///
/// A process that ends closes the connections that it has accepted, even those that have not sent anything yet. So it should not
/// accept these: then they stay in the socket for the next process.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe wrapper knows this option")]
pub(crate) fn accept_with_data(listener: &TcpListener) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    /// After this many seconds of silence, the connection is handed over all the same.
    const SECONDS: libc::c_int = 10;
    let size = libc::socklen_t::try_from(size_of_val(&SECONDS)).unwrap_or_default();
    // SAFETY: the descriptor is open for as long as `listener` is borrowed, and the option is a `c_int` of this size.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            std::ptr::from_ref(&SECONDS).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_parent(_: &mut Command) {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn accept_with_data(_: &TcpListener) -> std::io::Result<()> {
    Ok(())
}
