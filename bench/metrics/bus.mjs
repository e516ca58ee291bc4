import { fork } from 'node:child_process'
import { once } from 'node:events'

import { atLeastPeer, atMost, atMostPeer } from '../tools/goals.mjs'
import { cpuSeconds } from '../tools/proc.mjs'
import { quantile } from '../tools/stats.mjs'

const app = `
process.on('message', ({ topic, data }) => {
  if (topic === 'ping') process.send({ type: 'pong', data: { n: data.n } })
  if (topic !== 'flood') return
  let sent = 0
  // The callback of the last of a batch says that the channel took it: no more than a batch waits in this process.
  const batch = () => {
    for (let one = 0; one < 200 && sent < data.count; one++, sent++) {
      const last = one === 199 || sent === data.count - 1
      process.send({ type: 'flood', data: { n: sent, text: 'a message of a usual length' } }, last ? batch : undefined)
    }
  }
  batch()
})
process.send({ type: 'here', data: { yes: true } })
setInterval(() => {}, 1e6)
`

export default {
  name: 'bus',
  rows: {
    rate: { what: 'bus: `process.send` to `bus.on`', unit: 'msg/s', better: 'higher', goal: atLeastPeer(1.5) },
    cpu: { what: '... CPU of the daemon side', unit: 'us/msg', better: 'lower', goal: atMostPeer(0.25) },
    lost: { what: '... messages lost', unit: '', better: 'lower', goal: atMost(0, '') },
    p50: { what: '`sendDataToProcessId` to app to `bus.on`, p50', unit: 'ms', better: 'lower', goal: atMostPeer(1) },
    p99: { what: '... p99', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const home = tools.home()
    const driver = await tools.driver(peer, home)
    const script = home.write('app.js', app)
    const id = await driver.run(
      async ({ call }, options) => {
        await call('connect')
        globalThis.bus = await call('launchBus')
        const here = new Promise((resolve) => globalThis.bus.on('here', resolve))
        const [started] = await call('start', options)
        await here
        return started.pm2_env?.pm_id ?? started.pm_id
      },
      { script, name: 'talker', env: home.appEnv() },
    )
    const times = await driver.run(
      async ({ call, now }, { id, turns }) => {
        const times = []
        let arrived
        globalThis.bus.on('pong', () => arrived())
        for (let n = 0; n < turns; n++) {
          const pong = new Promise((resolve) => {
            arrived = resolve
          })
          const start = now()
          await Promise.all([
            pong,
            call('sendDataToProcessId', id, { id, type: 'process:msg', topic: 'ping', data: { n } }),
          ])
          times.push(now() - start)
        }
        return times
      },
      { id, turns: tools.pick(200, 1000) },
    )
    const pids = home.daemonSide()
    const before = cpuSeconds(pids)
    const count = tools.pick(50_000, 300_000)
    const { ms, received } = await driver.run(
      async ({ call, now, sleep }, { id, count }) => {
        let [received, last, done] = [0, now(), false]
        globalThis.bus.on('flood', ({ data }) => {
          received++
          last = now()
          done = data.n === count - 1
        })
        const start = now()
        await call('sendDataToProcessId', id, { id, type: 'process:msg', topic: 'flood', data: { count } })
        while (!done && now() - last < 5000) await sleep(2)
        return { ms: last - start, received }
      },
      { id, count },
    )
    return {
      rate: (received / ms) * 1000,
      cpu: ((cpuSeconds(pids) - before) / count) * 1e6,
      lost: count - received,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
    }
  },

  /** The same between a Node parent and its child, with nobody between them. */
  async floor(tools) {
    const home = tools.home()
    const child = fork(home.write('app.js', app), { env: home.env(home.appEnv()), execArgv: [] })
    await once(child, 'message')
    const times = []
    for (let n = 0; n < tools.pick(200, 1000); n++) {
      const start = performance.now()
      child.send({ topic: 'ping', data: { n } })
      await once(child, 'message')
      times.push(performance.now() - start)
    }
    const count = tools.pick(50_000, 300_000)
    const start = performance.now()
    await new Promise((resolve) => {
      child.on('message', ({ data }) => data.n === count - 1 && resolve())
      child.send({ topic: 'flood', data: { count } })
    })
    const rate = (count / (performance.now() - start)) * 1000
    child.kill('SIGKILL')
    return { rate, p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
  },
}
