// What must and what must not compile. Checked by `npm run test:types`; never run.

import pm2 = require('../index.js')

import { expectTypeOf } from 'expect-type'

// Errback and promise of the same method.
expectTypeOf(pm2.list()).resolves.toEqualTypeOf<pm2.ProcessDescription[]>()
expectTypeOf(pm2.connect()).resolves.toEqualTypeOf<pm2.ConnectResult>()
expectTypeOf(pm2.launchBus()).resolves.toEqualTypeOf<pm2.Bus>()
expectTypeOf(pm2.getVersion()).resolves.toEqualTypeOf<string>()
expectTypeOf(
  pm2.list((err, list) => {
    expectTypeOf(err).toEqualTypeOf<Error | null>()
    expectTypeOf(list).toEqualTypeOf<pm2.ProcessDescription[]>()
  }),
).toEqualTypeOf<void>()

// Programs written against pm2's types say `err: Error`, or nothing at all.
pm2.connect((err: Error) => void err)
pm2.connect(true, (err: any) => void err)
pm2.list((err: Error, list: pm2.ProcessDescription[]) => void [err, list])
pm2.disconnect()
pm2.start('app.js', (err, processes) => {
  expectTypeOf(err).toEqualTypeOf<Error | Error[] | null>()
  expectTypeOf(processes[0].pm2_env?.pm_id).toEqualTypeOf<number | string | undefined>()
})

// The four forms of start.
pm2.start('app.js', { name: 'api', maxMemoryRestart: '1G', env: { PORT: 1 } }, () => {})
pm2.start({ script: 'app.js', exec_mode: 'cluster', instances: 'max', env_production: { NODE_ENV: 'production' } })
pm2.start([{ script: 'a.js' }, { script: 'b.js', interpreter: 'none', args: ['--port', 1] }], { only: 'a' })
pm2.start({ apps: [{ script: 'a.js' }], deploy: { production: { user: 'dev' } } })
pm2.start('eco.config.js', { env: 'production', updateEnv: true })
// @ts-expect-error an option that does not exist
pm2.start({ script: 'app.js', instancess: 2 })
// @ts-expect-error a mode that does not exist
pm2.start({ script: 'app.js', exec_mode: 'thread' })
// A program that does not know which form it has.
declare const either: string | pm2.StartOptions
pm2.start(either, (err) => void err)
// @ts-expect-error not a target
pm2.start(true)
// @ts-expect-error `start` takes ids as text only
pm2.start(0)
// @ts-expect-error no target
pm2.stop()

pm2.stop(0)
pm2.restart('all', { updateEnv: true })
pm2.reload({ script: 'app.js' })
pm2.delete('api', 'pipe', () => {})
pm2.scale('api', '+2')
pm2.sendDataToProcessId(0, { topic: 't', data: {} })
pm2.sendDataToProcessId({ id: 0, topic: 't', data: {} }, (err, { success }) => void [err, success])
// @ts-expect-error a packet needs a topic
pm2.sendDataToProcessId(0, { data: {} })
pm2.sendLineToStdin(0, 'line', '\r\n', (err, { line }) => void [err, line])
pm2.flush(() => {})
pm2.startup('systemd', () => {})
// @ts-expect-error an init system that does not exist
pm2.startup('dos', () => {})
pm2.serve('.', 8080, { spa: true }, () => {})
expectTypeOf(pm2.update()).toEqualTypeOf<false>()

// The bus knows its payloads.
pm2.launchBus((_err, bus, socket) => {
  bus
    .on('log:out', (packet) => expectTypeOf(packet).toEqualTypeOf<pm2.LogPacket>())
    .on('process:event', ({ event, process }) => void [event, process.pm_id])
    .on('*', (event, packet) => void [event, packet])
    .on(/^a(.*)$/, (rest: string, packet: any) => void [rest, packet])
    .off('log:out')
  socket.on('reconnect attempt', () => {})
  // @ts-expect-error a bus only listens
  bus.emit('log:out', {})
})

// Another instance, and one's own class.
const other = new pm2.custom({ pm2_home: '/tmp/home', daemon_mode: false })
expectTypeOf(other).toEqualTypeOf<pm2.API>()
// @ts-expect-error only the singleton has the class
other.custom
class Mine extends pm2.custom {
  all(): Promise<pm2.ProcessDescription[]> {
    return this.list()
  }
}
expectTypeOf(new Mine().all()).resolves.toEqualTypeOf<pm2.ProcessDescription[]>()
expectTypeOf(pm2.Client.pingDaemon()).resolves.toEqualTypeOf<boolean>()
pm2.Client.executeRemote('getMonitorData', {}, (err, list) => void [err, list])

// Types by their pm2 names.
const options: pm2.StartOptions = pm2.defineConfig({ apps: [{ script: 'a.js', kill_timeout: 100 }] }).apps[0]
const status: pm2.ProcessStatus = 'waiting restart'
const callback: pm2.ErrProcDescsCallback = (err, list) => void [err, list]
const platform: pm2.Platform = 'ubuntu'
void [options, status, callback, platform]
// @ts-expect-error a config file is checked
pm2.defineConfig({ apps: [{ script: 1 }] })

// The two forms of streamLogs.
expectTypeOf(pm2.streamLogs('web', 10, true)).resolves.toEqualTypeOf<number>()
expectTypeOf(pm2.streamLogs('web', { lines: 10, follow: false })).toEqualTypeOf<AsyncIterableIterator<pm2.LogLine>>()
expectTypeOf(pm2.streamLogs([/^web/, 3], {})).toEqualTypeOf<AsyncIterableIterator<pm2.LogLine>>()
expectTypeOf<pm2.LogLine['at']>().toEqualTypeOf<Date | undefined>()
// @ts-expect-error a pattern is for programs only
pm2.streamLogs(/web/, 10)
// @ts-expect-error an option that does not exist
pm2.streamLogs('web', { line: 10 })
