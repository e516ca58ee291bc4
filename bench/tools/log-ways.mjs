// A log flood in each of the ways that people have their logs: the rows and the measurement that `logs` and `logs-node` share.

import { flood, Gate } from './flood.mjs'
import { atLeast, atLeastFloor, atMost } from './goals.mjs'

/** Bytes of a line with its end. */
export const LENGTH = 200

/** Options of the app, and whether somebody listens to the bus. */
const ways = {
  plain: { options: {} },
  stamped: { title: 'with time stamps', options: { time: true } },
  bus: { title: 'with a bus subscriber', options: {}, listens: true },
}

/** `fast`: the writer is fast enough for the goals in megabytes and processor seconds. */
export function rows(what, { fast }) {
  const rows = {}
  for (const [way, { title, listens }] of Object.entries(ways)) {
    const goal = way === 'plain' ? atLeastFloor(0.9) : way === 'stamped' && fast ? atLeast(400, 'MB/s') : undefined
    const cpu = way === 'plain' ? atMost(0.8, 's/GB') : undefined
    rows[`${way}Rate`] = { what: title ? `the same ${title}` : what, unit: 'MB/s', better: 'higher', goal }
    rows[`${way}Cpu`] = { what: '... CPU of the daemon side', unit: 's/GB', better: 'lower', goal: cpu }
    rows[`${way}Lost`] = { what: '... lines lost or cut', unit: '', better: 'lower', goal: atMost(0, '') }
    rows[`${way}Torn`] = { what: '... characters torn (U+FFFD)', unit: '', better: 'lower', goal: atMost(0, '') }
    rows[`${way}Peak`] = {
      what: '... peak RSS of the daemon side',
      unit: 'MB',
      better: 'lower',
      goal: atMost(12, 'MB'),
    }
    if (listens) {
      rows[`${way}Heard`] = { what: '... of what was written, heard on the bus', unit: '%', better: 'higher' }
    }
  }
  return rows
}

/** `writer(home, gate)`: the app, which writes `lines` lines once the gate is open. */
export async function measure(peer, tools, lines, writer) {
  const result = {}
  for (const [way, { options, listens }] of Object.entries(ways)) {
    const home = tools.home()
    const gate = new Gate(home)
    const file = home.file('out.log')
    const driver = await tools.driver(peer, home)
    if (listens) {
      await driver.run(async ({ call }) => {
        await call('connect')
        globalThis.heard = 0
        const bus = await call('launchBus')
        bus.on('log:out', ({ data }) => {
          globalThis.heard += Buffer.byteLength(data)
        })
      })
    }
    await driver.call('start', {
      name: 'writer',
      autorestart: false,
      out_file: file,
      env: home.appEnv(),
      ...writer(home, gate),
      ...options,
    })
    if (!listens) await driver.end()
    const seen = await flood({ gate, file, lines, length: LENGTH, pids: home.daemonSide() })
    for (const key of ['rate', 'cpu', 'lost', 'torn', 'peak']) {
      result[`${way}${key[0].toUpperCase()}${key.slice(1)}`] = seen[key]
    }
    if (listens) {
      // What is on its way still arrives.
      const heard = await driver.run(async ({ sleep }) => {
        for (let before = -1; before !== globalThis.heard; await sleep(500)) before = globalThis.heard
        return globalThis.heard
      })
      result[`${way}Heard`] = (heard / (lines * LENGTH)) * 100
    }
    await home.end()
  }
  return result
}
