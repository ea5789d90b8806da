//! A ConnectWise tenant to try things against, without one.

use clap::Parser;
use tests::fakes::connectwise::{FakeConnectWise, Options};

/// Starts a fake ConnectWise tenant on loopback; ends with Ctrl-C.
#[derive(Parser)]
struct Flags {
    /// Port; 0 takes a free one.
    #[arg(long, default_value_t = 9001)]
    port: u16,
    /// Login company.
    #[arg(long, default_value = "acme")]
    company: String,
    /// Public key.
    #[arg(long, default_value = "public")]
    public_key: String,
    /// Private key.
    #[arg(long, default_value = "private")]
    private_key: String,
    /// Answer wrong keys with 404, as the cloud does.
    #[arg(long)]
    hides: bool,
    /// Search by equality also finds what only contains the text.
    #[arg(long)]
    sloppy: bool,
    /// Changes below a reference succeed without effect.
    #[arg(long)]
    deaf: bool,
    /// Lists come without Link headers.
    #[arg(long)]
    no_links: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let tenant = FakeConnectWise::start_with(
        flags.port,
        Options {
            company: flags.company.clone(),
            public_key: flags.public_key.clone(),
            private_key: flags.private_key.clone(),
            hides: flags.hides,
            sloppy: flags.sloppy,
            deaf: flags.deaf,
            no_links: flags.no_links,
        },
    )?;
    #[expect(
        clippy::print_stdout,
        reason = "whoever started it wants to know where it is"
    )]
    {
        println!("base_url:    {}", tenant.url);
        println!("company:     {}", flags.company);
        println!("public_key:  {}", flags.public_key);
        println!("private_key: {}", flags.private_key);
        println!("tickets:     {}/_fake/tickets", tenant.origin);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
