//! What a command prints.

use std::io::Read as _;
use std::process::{Command, Stdio};

use super::{LARGEST, Surroundings, one_line_end_less};

impl Surroundings {
    /// Runs a line by the shell, in the folder of the file and with its variables. What the command
    /// has to say for itself goes to our standard error.
    ///
    /// # Errors
    /// Why not, for people. Never what it printed.
    pub(super) fn command(&self, line: &str) -> Result<String, String> {
        let failed = |why: &dyn std::fmt::Display| format!("the command failed: {why}");
        let folder = match self.folder.as_os_str().is_empty() {
            true => std::path::Path::new("."),
            false => &self.folder,
        };
        let mut child = Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(folder)
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| failed(&e))?;
        let mut printed = Vec::new();
        if let Some(out) = child.stdout.take() {
            // One byte more than there may be; a command that goes on is ended by the closed pipe.
            let mut out = out.take(LARGEST + 1);
            out.read_to_end(&mut printed).map_err(|e| failed(&e))?;
        }
        let status = child.wait().map_err(|e| failed(&e))?;
        if printed.len() as u64 > LARGEST {
            return Err("what the command prints is too large for a secret".to_owned());
        }
        if !status.success() {
            return Err(failed(&status));
        }
        let text = String::from_utf8(printed)
            .map_err(|_| "what the command prints is no text".to_owned())?;
        Ok(one_line_end_less(&text).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(folder: &std::path::Path) -> Surroundings {
        let path = std::env::var("PATH").unwrap();
        let env = [
            ("PATH".to_owned(), path),
            ("NAME".to_owned(), "psa".to_owned()),
        ];
        Surroundings {
            env: env.into(),
            folder: folder.to_owned(),
        }
    }

    #[test]
    fn a_command_runs_in_the_folder_and_says_why_it_failed_but_not_what_it_printed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("psa.txt"), "hush\r\n").unwrap();
        let around = around(folder.path());
        assert_eq!(around.command("cat $NAME.txt").unwrap(), "hush");
        let failed = around.command("cat psa.txt; exit 3").unwrap_err();
        assert!(failed.contains('3') && !failed.contains("hush"), "{failed}");
        let large = around.command("head -c 70000 /dev/zero").unwrap_err();
        assert!(large.contains("too large"), "{large}");
        assert!(
            around
                .command(r"printf '\377'")
                .unwrap_err()
                .contains("no text")
        );
    }
}
