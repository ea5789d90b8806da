//! A disk that is small enough to be filled.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Where the small file system is, in the process that may see it.
const PLACE: &str = "SIGNALBOX_TEST_SMALL_DISK";

/// A file system in memory, seen by this process and its children only. It goes with them.
#[derive(Debug)]
pub struct Small {
    place: PathBuf,
}

impl Small {
    /// Runs this test, by its full name, once more on a small file system of so many megabytes:
    /// there, it is yielded. None in the process that has run it elsewhere, and where the machine
    /// lets nobody mount anything.
    ///
    /// # Panics
    /// The test fails there.
    pub async fn of_this_test(name: &str, megabytes: u32) -> Option<Self> {
        if let Some(place) = std::env::var_os(PLACE) {
            return Some(Self {
                place: place.into(),
            });
        }
        let place = TempDir::new().unwrap();
        let mount = format!("mount -t tmpfs -o size={megabytes}m,mode=1777 small \"$0\"");
        let private = |script: &str| {
            let mut command = Command::new("unshare");
            command
                .args(["--mount", "--propagation", "private", "sh", "-c"])
                .arg(script)
                .arg(place.path());
            command
        };
        let may = private(&mount).stderr(Stdio::null()).status();
        if !may.is_ok_and(|status| status.success()) {
            #[expect(
                clippy::print_stderr,
                reason = "the only way to say that nothing was tested"
            )]
            {
                eprintln!("not run: no small file system can be mounted here");
            }
            return None;
        }
        let mut command = private(&format!("{mount} && exec \"$@\""));
        command
            .arg(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(PLACE, place.path());
        let done = crate::server::run(command).await;
        let said = crate::server::both(&done);
        assert!(done.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
        #[expect(clippy::print_stdout, reason = "what it said belongs to this test")]
        {
            println!("{said}");
        }
        None
    }

    /// A new folder on it.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn folder(&self) -> TempDir {
        TempDir::new_in(&self.place).unwrap()
    }

    /// Makes it larger.
    ///
    /// # Panics
    /// The system refuses.
    pub fn grow(&self, megabytes: u32) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,size={megabytes}m")])
            .arg(&self.place)
            .status()
            .unwrap();
        assert!(done.success(), "{done}");
    }
}
