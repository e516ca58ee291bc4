// Types of the public API, written by hand: pm2's overloads cannot be generated. Kept in step with `lib/api.js` by
// `__test__/types.test.js`; `__test__/types.test-d.ts` holds what must and what must not compile.
//
// The declarations are in `types/`; here they get their names, `pm2.API` and so on.

import type * as api from './types/api.js'
import type * as bus from './types/bus.js'
import type * as callbacks from './types/callbacks.js'
import type * as client from './types/client.js'
import type * as options from './types/options.js'
import type * as processes from './types/processes.js'

declare const pm2: pm2.Singleton

declare namespace pm2 {
  type Pm2Error = callbacks.Pm2Error
  type Errback<T = void> = callbacks.Errback<T>
  type ErrCallback = callbacks.ErrCallback
  type ErrProcCallback = callbacks.ErrProcCallback
  type ErrProcDescCallback = callbacks.ErrProcDescCallback
  type ErrProcDescsCallback = callbacks.ErrProcDescsCallback
  type ErrResultCallback = callbacks.ErrResultCallback
  type ErrBusCallback = callbacks.ErrBusCallback
  type StartErrback = callbacks.StartErrback

  type CustomOptions = options.CustomOptions
  type ExecMode = options.ExecMode
  type Env = options.Env
  type StartOptions = options.StartOptions
  type ConfigFileOptions = options.ConfigFileOptions
  type RestartOptions = options.RestartOptions
  type ReloadOptions = options.ReloadOptions
  type StaticServer = options.StaticServer
  type DeployTarget = options.DeployTarget
  type Config = options.Config
  type ServeOptions = options.ServeOptions
  type InstallOptions = options.InstallOptions
  type StartupOptions = options.StartupOptions
  type Platform = options.Platform
  type Target = options.Target
  type Apps = options.Apps
  type TargetOrApps = options.TargetOrApps

  type ProcessStatus = processes.ProcessStatus
  type Monit = processes.Monit
  type Pm2Env = processes.Pm2Env
  type ProcessDescription = processes.ProcessDescription
  type Proc = processes.Proc
  type LogLine = processes.LogLine
  type StreamLogsOptions = processes.StreamLogsOptions
  type ConnectResult = processes.ConnectResult
  type Success = processes.Success
  type Packet = processes.Packet
  type BusProcess = processes.BusProcess
  type ActionMessage = processes.ActionMessage
  type ActionReply = processes.ActionReply

  type LogPacket = bus.LogPacket
  type ProcessEventPacket = bus.ProcessEventPacket
  type MessagePacket = bus.MessagePacket
  type ExceptionPacket = bus.ExceptionPacket
  type KillPacket = bus.KillPacket
  type Bus = bus.Bus
  type BusSocket = bus.BusSocket

  type WatchedProcess = client.WatchedProcess
  type Client = client.Client
  type DetailsErrback = client.DetailsErrback

  type API = api.API
  type ApiConstructor = api.ApiConstructor
  type Singleton = api.Singleton
}

export = pm2
