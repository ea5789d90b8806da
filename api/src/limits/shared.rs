//! Buckets in Redis, for all nodes.

use std::time::Duration;

use deadpool_redis::redis;

use super::{Act, Away, Buckets, Key, Rate, Taken};
use crate::redis::Redis;

/// Takes from a bucket in one step, by Redis' own clock: those of the nodes need not agree. Answers
/// how many milliseconds there are until a token, and how many thousandths of one are left. A bucket that is full again is forgotten.
const SCRIPT: &str = r"
local burst, per_ms, act = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local kept = redis.call('HMGET', KEYS[1], 'left', 'at', 'burst')
local left, at = tonumber(kept[1]), tonumber(kept[2])
if left == nil or at == nil or tonumber(kept[3]) ~= burst then
  left, at = burst, now
end
left = math.min(burst, left + math.max(0, now - at) * per_ms)
local wait = 0
if left < 1 then wait = math.max(1, math.ceil((1 - left) / per_ms)) end
if act == 'look' then return {wait, math.floor(left * 1000)} end
if act == 'drain' then left = math.max(0, left - 1)
elseif wait == 0 then left = left - 1 end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', tostring(now), 'burst', tostring(burst))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - left) / per_ms) + 1000)
return {wait, math.floor(left * 1000)}
";

/// See the module.
pub(super) struct Shared {
    redis: Redis,
    installation: String,
}

impl Shared {
    pub(super) const fn new(redis: Redis, installation: String) -> Self {
        Self {
            redis,
            installation,
        }
    }

    fn name(&self, key: &Key) -> String {
        let place = &self.installation;
        match key {
            Key::Source(id) => format!("signalbox:{place}:limit:source:{id}"),
            Key::Connection(id) => format!("signalbox:{place}:limit:connection:{id}"),
            Key::Person(id) => format!("signalbox:{place}:limit:person:{id}"),
            Key::Credential(id) => format!("signalbox:{place}:limit:credential:{id}"),
            Key::Address(whose) => format!("signalbox:{place}:limit:address:{whose}"),
            Key::Failures(kind, whose) => format!("signalbox:{place}:limit:{kind}:{whose}"),
        }
    }
}

#[async_trait::async_trait]
impl Buckets for Shared {
    async fn act(&self, key: &Key, rate: Rate, act: Act) -> Result<Taken, Away> {
        let mut command = redis::cmd("EVAL");
        command
            .arg(SCRIPT)
            .arg(1)
            .arg(self.name(key))
            .arg(rate.burst)
            .arg(rate.per_second / 1000.0)
            .arg(match act {
                Act::Take => "take",
                Act::Look => "look",
                Act::Drain => "drain",
            });
        let (wait, left): (u64, u32) = self.redis.call(&command).await?;
        Ok(Taken {
            wait: (wait > 0).then(|| Duration::from_millis(wait)),
            left: f64::from(left) / 1000.0,
        })
    }

    async fn fill(&self, key: &Key) -> Result<(), Away> {
        let mut command = redis::cmd("DEL");
        command.arg(self.name(key));
        self.redis.call::<i64>(&command).await.map(|_| ())
    }
}
