import pm2 = require('./index.js')

export default pm2
export const custom: typeof pm2.custom
export const defineConfig: typeof pm2.defineConfig
export const connect: typeof pm2.connect
export const disconnect: typeof pm2.disconnect
export const close: typeof pm2.close
export const destroy: typeof pm2.destroy
export const killDaemon: typeof pm2.killDaemon
export const kill: typeof pm2.kill
export const launchBus: typeof pm2.launchBus
export const launchModules: typeof pm2.launchModules
export const launchAll: typeof pm2.launchAll
export const launchSysMonitoring: typeof pm2.launchSysMonitoring
export const exitCli: typeof pm2.exitCli
export const update: typeof pm2.update
export const deepUpdate: typeof pm2.deepUpdate
export const start: typeof pm2.start
export const restart: typeof pm2.restart
export const reload: typeof pm2.reload
export const gracefulReload: typeof pm2.gracefulReload
export const stop: typeof pm2.stop
declare const delete_: typeof pm2.delete
export const reset: typeof pm2.reset
export const scale: typeof pm2.scale
export const actionFromJson: typeof pm2.actionFromJson
export const _startScript: typeof pm2._startScript
export const _startJson: typeof pm2._startJson
export const _operate: typeof pm2._operate
export const _handleAttributeUpdate: typeof pm2._handleAttributeUpdate
export const list: typeof pm2.list
export const describe: typeof pm2.describe
export const getPID: typeof pm2.getPID
export const getProcessIdByName: typeof pm2.getProcessIdByName
export const getVersion: typeof pm2.getVersion
export const ping: typeof pm2.ping
export const env: typeof pm2.env
export const report: typeof pm2.report
export const jlist: typeof pm2.jlist
export const slist: typeof pm2.slist
export const speedList: typeof pm2.speedList
export const streamLogs: typeof pm2.streamLogs
export const printLogs: typeof pm2.printLogs
export const sendSignalToProcessName: typeof pm2.sendSignalToProcessName
export const sendSignalToProcessId: typeof pm2.sendSignalToProcessId
export const sendDataToProcessId: typeof pm2.sendDataToProcessId
export const sendLineToStdin: typeof pm2.sendLineToStdin
export const msgProcess: typeof pm2.msgProcess
export const trigger: typeof pm2.trigger
export const inspect: typeof pm2.inspect
export const attach: typeof pm2.attach
export const dump: typeof pm2.dump
export const autodump: typeof pm2.autodump
export const clearDump: typeof pm2.clearDump
export const resurrect: typeof pm2.resurrect
export const flush: typeof pm2.flush
export const reloadLogs: typeof pm2.reloadLogs
export const logrotate: typeof pm2.logrotate
export const startup: typeof pm2.startup
export const uninstallStartup: typeof pm2.uninstallStartup
export const get: typeof pm2.get
export const set: typeof pm2.set
export const multiset: typeof pm2.multiset
export const unset: typeof pm2.unset
export const conf: typeof pm2.conf
export const serve: typeof pm2.serve
export const profile: typeof pm2.profile
export const monitorState: typeof pm2.monitorState
export const dashboard: typeof pm2.dashboard
export const monit: typeof pm2.monit
export const agentInfos: typeof pm2.agentInfos
export const killAgent: typeof pm2.killAgent
export const install: typeof pm2.install
export const uninstall: typeof pm2.uninstall
declare const package_: typeof pm2.package
export const publish: typeof pm2.publish
export const generateModuleSample: typeof pm2.generateModuleSample
export const deleteModule: typeof pm2.deleteModule
export const boilerplate: typeof pm2.boilerplate
export const generateSample: typeof pm2.generateSample
export const deploy: typeof pm2.deploy
export const pullAndRestart: typeof pm2.pullAndRestart
export const pullAndReload: typeof pm2.pullAndReload
export const _pull: typeof pm2._pull
export const pullCommitId: typeof pm2.pullCommitId
export const _pullCommitId: typeof pm2._pullCommitId
export const backward: typeof pm2.backward
export const forward: typeof pm2.forward
export const autoinstall: typeof pm2.autoinstall
export const remote: typeof pm2.remote
export const remoteV2: typeof pm2.remoteV2
export const generateDockerfile: typeof pm2.generateDockerfile
export const dockerMode: typeof pm2.dockerMode
export const linkManagement: typeof pm2.linkManagement
export const link: typeof pm2.link
export const unlink: typeof pm2.unlink
export const openDashboard: typeof pm2.openDashboard
export const clearSetup: typeof pm2.clearSetup
export const minimumSetup: typeof pm2.minimumSetup
export type {
  ActionMessage,
  ActionReply,
  API,
  ApiConstructor,
  Apps,
  Bus,
  BusProcess,
  BusSocket,
  Client,
  Config,
  ConfigFileOptions,
  ConnectResult,
  CustomOptions,
  DeployTarget,
  DetailsErrback,
  Env,
  ErrBusCallback,
  Errback,
  ErrCallback,
  ErrProcCallback,
  ErrProcDescCallback,
  ErrProcDescsCallback,
  ErrResultCallback,
  ExceptionPacket,
  ExecMode,
  InstallOptions,
  KillPacket,
  LogPacket,
  MessagePacket,
  Monit,
  Packet,
  Platform,
  Pm2Env,
  Pm2Error,
  Proc,
  ProcessDescription,
  ProcessEventPacket,
  ProcessStatus,
  ReloadOptions,
  RestartOptions,
  ServeOptions,
  Singleton,
  StartErrback,
  StartOptions,
  StartupOptions,
  StaticServer,
  Success,
  Target,
  TargetOrApps,
  WatchedProcess,
} from './index.js'
export { delete_ as delete, package_ as package }
