//! A connection that sends prepared requests: HTTP/1.1, kept alive, one request at a time. It does
//! as little as a correct client can, since it shares the processor with what is measured.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer in bytes.
const LONGEST: usize = 1 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::with_capacity(4096),
        })
    }

    /// Sends a request and reads the status of its answer.
    ///
    /// # Errors
    /// The connection broke, or the answer has no length. It is of no use afterwards.
    pub async fn status(&mut self, request: &[u8]) -> io::Result<u16> {
        let (status, _, _) = self.exchange(request).await?;
        Ok(status)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// See [`Connection::status`].
    pub async fn answer(&mut self, request: &[u8]) -> io::Result<Answer> {
        let (status, from, to) = self.exchange(request).await?;
        let body = self.read.get(from..to).unwrap_or_default().to_vec();
        Ok(Answer { status, body })
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<(u16, usize, usize)> {
        tokio::time::timeout(PATIENCE, self.exchange_at_leisure(request))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn exchange_at_leisure(&mut self, request: &[u8]) -> io::Result<(u16, usize, usize)> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let mut head = None;
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if head.is_none() {
                head = parse_head(&self.read)?;
            }
            if let Some(Head {
                status,
                from,
                length,
            }) = head
                && self.read.len() >= from + length
            {
                return Ok((status, from, from + length));
            }
            if self.read.len() > LONGEST {
                return Err(invalid("the answer is too long"));
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    from: usize,
    length: usize,
}

/// The head of an answer, once it is complete.
fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())
        .map_err(|_| invalid("the head is no text"))?;
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| invalid("not an answer in HTTP/1.1"))?;
    let length = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    let length = match length {
        Some(length) => length,
        None if status == 204 => 0,
        None => return Err(invalid("the answer has no length")),
    };
    Ok(Some(Head {
        status,
        from: end + 4,
        length,
    }))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_heads() {
        assert_eq!(parse_head(b"HTTP/1.1 202 Acc").unwrap(), None);
        let head = parse_head(b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        let wanted = Head {
            status: 202,
            from: 44,
            length: 3,
        };
        assert_eq!(head, Some(wanted));
        assert_eq!(
            parse_head(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap()
                .unwrap()
                .length,
            0
        );
        assert!(parse_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse_head(b"SSH-2.0\r\n\r\n").is_err());
    }
}
