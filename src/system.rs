//! What only the operating system can do, and does differently elsewhere: the one module with Unix-only code.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};

/// Descriptors kept for the database, its log, temporary files and upstream connections.
const DESCRIPTORS_RESERVED: u64 = 40;

/// Prepares the process: private files, memory given back, as many descriptors as allowed.
pub fn prepare() {
    fail_large_writes();
    #[cfg(unix)]
    unix::private_files();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unix::return_memory();
}

/// Has writes beyond the limit on the size of files (`ulimit -f`) fail as on a full disk, instead of ending the process.
pub fn fail_large_writes() {
    #[cfg(unix)]
    unix::fail_large_writes();
}

/// Whether a write failed because there is no room: on the disk, or within a quota or a limit.
pub fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Gives memory back that was freed in small pieces. Takes a few milliseconds: for those who have just freed much.
pub fn trim_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unix::trim_memory();
}

/// Gives memory back that only work needs, for who has none: what was freed in small pieces, the program's code and
/// constants, and its libraries'. What is needed again comes out of the system's cache of files as it is used. Takes a few
/// milliseconds.
pub fn rest() {
    trim_memory();
    #[cfg(target_os = "linux")]
    unix::release_code();
}

/// Has the calling thread interrupt nobody when it wakes: where all cores are busy it waits for the end of somebody's
/// slice. Its share of the time stays what it was.
pub fn interrupt_nobody() {
    // musl has the function, but not its work.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unix::schedule(libc::SCHED_BATCH);
}

/// Takes [`interrupt_nobody`] back: threads have it from those who start them.
pub fn interrupt_as_usual() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unix::schedule(libc::SCHED_OTHER);
}

/// Whether the calling thread interrupts others as all do, and not [as none](interrupt_nobody).
#[cfg(test)]
pub(crate) fn interrupts() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return unix::policy() == libc::SCHED_OTHER;
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    return true;
}

/// How many may read from the database at a time, two a core: who reads keeps a core busy, or waits for a disk. Asked once:
/// where the number of cores is limited, files have to be read.
pub fn reads_at_once() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(2, usize::from)) * 2
}

/// Raises the limit of open files as far as the system allows, and returns how many connections that leaves.
pub fn raise_descriptor_limit() -> usize {
    #[cfg(unix)]
    let limit = unix::raise_descriptor_limit();
    // Windows has no limit of its own; this is what one process can poll in reasonable time.
    #[cfg(not(unix))]
    let limit: u64 = 8192;
    // At very low limits half is better than nothing.
    let left = limit.saturating_sub(DESCRIPTORS_RESERVED).max(limit / 2);
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// Whether the system has no descriptors or memory left for a further connection, which closing another one would help.
pub fn is_exhausted(error: &std::io::Error) -> bool {
    #[cfg(unix)]
    return unix::is_exhausted(error);
    #[cfg(not(unix))]
    return error.kind() == std::io::ErrorKind::OutOfMemory;
}

/// Whether a listening socket should ask for its address again while connections of the server before it linger. On
/// Windows the same option would let two servers share a port.
pub const REUSES_ADDRESS: bool = cfg!(unix);

/// Whether new bytes on a socket are announced only once somebody has asked for them in vain, as on Windows.
pub const ANNOUNCES_AFTER_ASKING: bool = cfg!(windows);

/// A path that this program can be started by, also after an update has replaced its file where the system allows that.
///
/// # Errors
/// The system's.
pub fn own_program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe()
}

/// Sets `stop` on SIGTERM or SIGINT; a second signal ends the process at once.
///
/// # Errors
/// The system's.
pub fn stop_on_signals(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // Registered first, so that it sees the flag as the signal before it has left it.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(stop))?;
        signal_hook::flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}

/// Sets `stop` on every signal that asks this process to end, and `which` to its number; a second one ends the process at
/// once. What whoever started this process wants ignored stays ignored: nohup(1) and shells do so.
///
/// # Errors
/// The system's.
pub fn end_on_signals(stop: &Arc<AtomicBool>, which: &Arc<AtomicUsize>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    #[cfg(unix)]
    let signals = [SIGINT, SIGTERM, libc::SIGHUP, libc::SIGQUIT]
        .into_iter()
        .filter(|signal| !unix::is_ignored(*signal));
    #[cfg(not(unix))]
    let signals = [SIGINT, SIGTERM];
    for signal in signals {
        // In the order in which they are done: whoever sees the flag also sees the number.
        signal_hook::flag::register_usize(signal, Arc::clone(which), usize::try_from(signal).unwrap_or(0))?;
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))?;
        signal_hook::flag::register(signal, Arc::clone(stop))?;
    }
    Ok(())
}

/// Ends this process after so many seconds, and its next allocation beyond so many bytes. For a process that reads what
/// strangers have written.
pub fn confine(memory_bytes: u64, seconds: u32) {
    #[cfg(unix)]
    unix::confine(memory_bytes, seconds);
    #[cfg(not(unix))]
    {
        // The memory cannot be bounded here without a job object; the time can.
        let _ = memory_bytes;
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs(seconds.into()));
            std::process::exit(1);
        });
    }
}

/// Makes a folder (and those above it) that only its owner may look into. An existing one is left as it is.
///
/// # Errors
/// The system's.
pub fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes a new file that only its owner may read; fails if there is one.
///
/// # Errors
/// The system's.
pub fn create_private_file(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes a file that is there already its owner's alone.
///
/// # Errors
/// The system's.
pub fn make_private(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Whose a file is, and who may look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// It is this process's user's.
    pub is_ours: bool,
    /// Others than its owner may read or write it.
    pub is_open: bool,
}

/// Looks at a file's owner and mode. Where there is no such thing, all is well.
///
/// # Errors
/// The system's.
pub fn privacy(path: &Path) -> std::io::Result<Privacy> {
    let about = std::fs::symlink_metadata(path)?;
    #[cfg(unix)]
    return Ok(Privacy {
        is_ours: std::os::unix::fs::MetadataExt::uid(&about) == unix::user(),
        is_open: std::os::unix::fs::MetadataExt::mode(&about) & 0o077 != 0,
    });
    #[cfg(not(unix))]
    {
        let _ = about;
        Ok(Privacy {
            is_ours: true,
            is_open: false,
        })
    }
}

/// What is typed is not shown until this goes.
#[must_use]
#[derive(Clone)]
pub struct Hidden {
    #[cfg(unix)]
    before: libc::termios,
}

/// Stops the terminal from showing what is typed.
///
/// # Errors
/// The system's; where it has no such thing, that.
pub fn hide_input() -> std::io::Result<Hidden> {
    #[cfg(unix)]
    return unix::hide_input().map(|before| Hidden { before });
    #[cfg(not(unix))]
    return Err(std::io::ErrorKind::Unsupported.into());
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        unix::set_terminal(&self.before);
    }
}

/// Puts on disk which names a folder holds: a file that was renamed has its new name also after a power cut.
///
/// # Errors
/// The system's.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    // Windows opens no folders, and keeps its own journal of names.
    #[cfg(unix)]
    std::fs::File::open(if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    })?
    .sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Bytes that are free for this user on the disk of a folder, where the system says it.
pub fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    return unix::free_bytes(path);
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Bytes of memory that this process occupies, where the system says it in a way that costs nothing.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The machine's name, if it has one.
pub fn host_name() -> Option<String> {
    #[cfg(unix)]
    return unix::host_name();
    #[cfg(not(unix))]
    return std::env::var("COMPUTERNAME").ok();
}

/// Whether there is a screen that a browser could open on.
pub fn has_display() -> bool {
    if cfg!(any(target_os = "macos", windows)) {
        return true;
    }
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(unix)]
mod unix {
    /// Whatever we or SQLite create is the owner's alone, also where the shell says otherwise.
    pub(super) fn private_files() {
        #[expect(unsafe_code, reason = "umask(2) takes a number and cannot fail")]
        unsafe {
            libc::umask(0o077);
        }
    }

    pub(super) fn fail_large_writes() {
        #[expect(
            unsafe_code,
            reason = "signal(2) takes numbers here; what it fails with on such a system, it leaves as it was"
        )]
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
    }

    /// glibc raises its threshold for mapped memory with the first large block that is freed; password hashing (19 MiB
    /// a time) would then leave tens of megabytes with the process for good. Fixed, each block goes back at once.
    /// Sixteen arenas, instead of eight a core: the threads here are many, but mostly wait.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub(super) fn return_memory() {
        #[expect(unsafe_code, reason = "mallopt(3) takes numbers, and any thread may call it")]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 256 * 1024);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 512 * 1024);
            libc::mallopt(libc::M_ARENA_MAX, 16);
        }
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub(super) fn schedule(policy: libc::c_int) {
        let param = libc::sched_param { sched_priority: 0 };
        #[expect(
            unsafe_code,
            reason = "sched_setscheduler(2) reads one structure; where it is not allowed, all is as it was"
        )]
        unsafe {
            libc::sched_setscheduler(0, policy, &raw const param);
        }
    }

    #[cfg(all(test, target_os = "linux", target_env = "gnu"))]
    pub(super) fn policy() -> libc::c_int {
        #[expect(unsafe_code, reason = "sched_getscheduler(2) takes a number and gives one")]
        unsafe {
            libc::sched_getscheduler(0)
        }
    }

    /// Small blocks stay with the process beneath the last one of a thread that is still in use, however many they are.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub(super) fn trim_memory() {
        #[expect(unsafe_code, reason = "malloc_trim(3) takes a number, and any thread may call it")]
        unsafe {
            libc::malloc_trim(0);
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn release_code() {
        // Each mapping is a line "start-end rights offset device inode path", and then its figures: proc_pid_smaps(5).
        let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else {
            return;
        };
        let mut code = None;
        let mut own_pages = 0;
        for line in smaps.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("Anonymous:" | "Swap:"), Some(kib), _) => own_pages += kib.parse().unwrap_or(1),
                (Some("VmFlags:"), ..) => {
                    // Pages of which the system has made a copy of our own hold more than the file does.
                    if let Some((start, end)) = code.take()
                        && own_pages == 0
                    {
                        release(start, end);
                    }
                }
                (Some(range), Some("r-xp" | "r--p"), Some(_)) if line.contains(" /") => {
                    own_pages = 0;
                    code = range.split_once('-').and_then(|(start, end)| {
                        Some((
                            usize::from_str_radix(start, 16).ok()?,
                            usize::from_str_radix(end, 16).ok()?,
                        ))
                    });
                }
                (Some(range), Some(rights), Some(_)) if rights.len() == 4 && range.contains('-') => code = None,
                _ => {}
            }
        }
    }

    /// Takes a mapping's pages out of memory.
    #[cfg(target_os = "linux")]
    fn release(start: usize, end: usize) {
        #[expect(
            unsafe_code,
            reason = "madvise(2) on a whole mapping of a file that may not be written and of which no page was changed: \
                      what is used again is read from the file again"
        )]
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
    }

    pub(super) fn raise_descriptor_limit() -> u64 {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        #[expect(
            unsafe_code,
            reason = "getrlimit(2) and setrlimit(2) read and write the struct they are given"
        )]
        unsafe {
            if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
                return 1024;
            }
            let before = limit.rlim_cur;
            limit.rlim_cur = limit.rlim_max;
            // macOS names no limit here and then refuses more than this.
            #[cfg(target_os = "macos")]
            {
                limit.rlim_cur = limit.rlim_max.min(10_240);
            }
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0 {
                return before;
            }
        }
        limit.rlim_cur
    }

    pub(super) fn confine(memory_bytes: u64, seconds: u32) {
        let limit = |value: u64| libc::rlimit {
            rlim_cur: value,
            rlim_max: value,
        };
        let (memory, time, core) = (limit(memory_bytes), limit(seconds.into()), limit(0));
        #[expect(
            unsafe_code,
            reason = "setrlimit(2) reads the struct it is given; alarm(2) takes a number, and its signal ends the process"
        )]
        unsafe {
            // A limit that the system does not know leaves the others.
            libc::setrlimit(libc::RLIMIT_AS, &raw const memory);
            libc::setrlimit(libc::RLIMIT_CPU, &raw const time);
            libc::setrlimit(libc::RLIMIT_CORE, &raw const core);
            libc::alarm(seconds);
        }
    }

    pub(super) fn is_exhausted(error: &std::io::Error) -> bool {
        matches!(
            error.raw_os_error(),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
        )
    }

    pub(super) fn user() -> u32 {
        #[expect(unsafe_code, reason = "geteuid(2) takes nothing and cannot fail")]
        unsafe {
            libc::geteuid()
        }
    }

    pub(super) fn is_ignored(signal: i32) -> bool {
        let mut before = std::mem::MaybeUninit::<libc::sigaction>::uninit();
        #[expect(
            unsafe_code,
            reason = "sigaction(2) without a new action changes nothing and fills the struct, or fails"
        )]
        unsafe {
            libc::sigaction(signal, std::ptr::null(), before.as_mut_ptr()) == 0
                && before.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }

    #[expect(
        clippy::useless_conversion,
        reason = "these numbers have other widths on other systems"
    )]
    pub(super) fn free_bytes(path: &std::path::Path) -> Option<u64> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
        let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        #[expect(unsafe_code, reason = "statvfs(3) reads a string and fills the struct, or fails")]
        let found = unsafe {
            if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
                return None;
            }
            found.assume_init()
        };
        u64::from(found.f_bavail).checked_mul(found.f_frsize as u64)
    }

    /// Returns how the terminal was before.
    pub(super) fn hide_input() -> std::io::Result<libc::termios> {
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        #[expect(unsafe_code, reason = "tcgetattr(3) fills the struct, or fails")]
        let before = unsafe {
            if libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            before.assume_init()
        };
        let mut hidden = before;
        hidden.c_lflag &= !libc::ECHO;
        set_terminal(&hidden);
        Ok(before)
    }

    pub(super) fn set_terminal(to: &libc::termios) {
        #[expect(unsafe_code, reason = "tcsetattr(3) reads the struct it is given")]
        unsafe {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, to);
        }
    }

    pub(super) fn host_name() -> Option<String> {
        let mut buffer = [0_u8; 256];
        #[expect(unsafe_code, reason = "gethostname(2) writes at most the length it is given")]
        let failed = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) } != 0;
        let end = buffer.iter().position(|byte| *byte == 0)?;
        let name = std::str::from_utf8(&buffer[..end]).ok()?;
        (!failed && !name.is_empty()).then(|| name.to_owned())
    }
}

/// What little of C's mathematics the program uses (SQLite's ranking, numbers in style sheets), so that it starts without
/// the system's library of it, which takes a tenth of a millisecond to load. A static program loads none.
#[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
mod mathematics {
    #[expect(
        unsafe_code,
        reason = "the linker takes this function for C's, which it is: C17, 7.12.6.7"
    )]
    #[unsafe(no_mangle)]
    extern "C" fn log(number: f64) -> f64 {
        libm::log(number)
    }

    #[expect(
        unsafe_code,
        reason = "the linker takes this function for C's, which it is: C17, 7.12.7.4"
    )]
    #[unsafe(no_mangle)]
    extern "C" fn pow(base: f64, exponent: f64) -> f64 {
        libm::pow(base, exponent)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_given_back_runs_again() {
        // Other tests run meanwhile and have theirs read again; a debug build has tens of megabytes of it.
        let file_kib = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        let given_back = (0..20).any(|_| {
            let before = file_kib();
            rest();
            file_kib() < before / 2
        });
        assert!(given_back, "{} KiB", file_kib());
    }
}
