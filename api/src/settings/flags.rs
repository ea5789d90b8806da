//! The flags of the command line, made from the table.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Command};

use super::table::TABLE;
use super::{Flag, Setting};

/// Settings that `serve` takes as flags, by name.
#[derive(Clone, Debug, Default)]
pub struct ServeFlags(pub BTreeMap<&'static str, String>);

/// Settings that every command takes which opens the database, by name.
#[derive(Clone, Debug, Default)]
pub struct StoreFlags(pub BTreeMap<&'static str, String>);

fn args(command: Command, wanted: fn(Flag) -> bool) -> Command {
    TABLE
        .iter()
        .filter(|s| wanted(s.flag))
        .fold(command, |command, setting| {
            let shown = match setting.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            command.arg(
                Arg::new(setting.name)
                    .long(setting.long())
                    .value_name(value_name(setting))
                    .help(format!(
                        "{} [{}]{shown}",
                        setting.summary().trim_end_matches('.'),
                        setting.variable()
                    )),
            )
        })
}

fn value_name(setting: &Setting) -> &'static str {
    match setting.name {
        "data" => "DIR",
        "listen" => "ADDR",
        "tls_cert" | "tls_key" | "key_file" => "FILE",
        "log" => "FILTER",
        name if name.ends_with("_url") => "URL",
        _ => "VALUE",
    }
}

fn texts(matches: &ArgMatches, wanted: fn(Flag) -> bool) -> BTreeMap<&'static str, String> {
    TABLE
        .iter()
        .filter(|s| wanted(s.flag))
        .filter_map(|s| Some((s.name, matches.get_one::<String>(s.name)?.clone())))
        .collect()
}

macro_rules! flags {
    ($type:ident, $wanted:expr) => {
        impl clap::FromArgMatches for $type {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self(texts(matches, $wanted)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0.extend(texts(matches, $wanted));
                Ok(())
            }
        }

        impl clap::Args for $type {
            fn augment_args(command: Command) -> Command {
                args(command, $wanted)
            }

            fn augment_args_for_update(command: Command) -> Command {
                args(command, $wanted)
            }
        }
    };
}

flags!(ServeFlags, |flag| flag != Flag::Never);
flags!(StoreFlags, |flag| flag == Flag::Store);
