//! A connection that is being made while there is something else to do.

use std::ffi::c_int;
use std::time::Duration;

use super::connection::Connection;
use super::raw::{Connecting, Raw};
use super::{Conninfo, Role};
use crate::failure::Failure;

/// To be asked how far it is whenever what it awaits has come, and now and then.
pub struct Opening {
    info: Conninfo,
    role: Role,
    stage: Stage,
}

enum Stage {
    Connecting(Connecting),
    /// the settings are on their way
    SettingUp(Connection),
}

/// How far it is.
pub enum Opened {
    Yes(Connection),
    NotYet(Opening),
}

/// What is to be waited for.
#[derive(Clone, Copy, Debug)]
pub struct Awaited {
    pub socket: c_int,
    /// to be written to, not read from
    pub write: bool,
}

impl Opening {
    /// As [`Connection::open`], whose errors come now or later.
    pub fn begin(info: &Conninfo, role: Role, encoding: &str, name: &str) -> Result<Self, Failure> {
        let connecting = Raw::begin(info, encoding, name, role.origin())?;
        Ok(Self {
            info: info.clone(),
            role,
            stage: Stage::Connecting(connecting),
        })
    }

    pub fn awaits(&self) -> Awaited {
        match &self.stage {
            Stage::Connecting(connecting) => connecting.awaits(),
            Stage::SettingUp(connection) => Awaited {
                socket: connection.raw.socket(),
                write: false,
            },
        }
    }

    /// Goes on as far as it can without waiting.
    pub fn go_on(self) -> Result<Opened, Failure> {
        let Self { info, role, stage } = self;
        let stage = match stage {
            Stage::Connecting(mut connecting) => {
                if connecting.step(Duration::ZERO)? {
                    let raw = connecting.into_raw();
                    Stage::SettingUp(Connection::over(raw, &info, role, Vec::new())?)
                } else {
                    Stage::Connecting(connecting)
                }
            }
            Stage::SettingUp(mut connection) => {
                connection.consume()?;
                if !connection.is_busy() {
                    connection.finish_set_up()?;
                    return Ok(Opened::Yes(connection));
                }
                connection.bear_silence()?;
                Stage::SettingUp(connection)
            }
        };
        Ok(Opened::NotYet(Self { info, role, stage }))
    }
}
