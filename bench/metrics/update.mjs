// `update`, again and again, under a load that the processors are full of: no app is restarted, no request fails, no line is lost.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'

import { atMost } from '../tools/goals.mjs'
import { failed, startLoad } from '../tools/load.mjs'
import { median } from '../tools/stats.mjs'
import { until } from '../tools/until.mjs'
import { webUnder } from '../tools/web.mjs'

const WORKERS = 2
const CLIENTS = 16
const UPDATES = 20

const writer = `let number = 0\nsetInterval(() => console.log(++number), 1)\n`

const table = (driver) =>
  driver.run(async ({ call }) =>
    (await call('list')).map(({ name, pid, pm2_env }) => [name, pid, pm2_env.status, pm2_env.restart_time]),
  )

/** How many numbers are missing in a log of the writer up to its last whole line, or stand there twice. */
function lost(file) {
  const numbers = readFileSync(file, 'latin1').split('\n').slice(0, -1).map(Number)
  return numbers.reduce((sum, number, at) => sum + (number === (numbers[at - 1] ?? 0) + 1 ? 0 : 1), 0)
}

export default {
  name: 'update',
  once: true,
  onRequest: true,
  limit: 600_000,
  rows: {
    updates: {
      what: `updates under load (${WORKERS} cluster workers, ${CLIENTS} clients each way)`,
      unit: '',
      better: 'higher',
    },
    restarted: {
      what: '... apps with another pid, status or count of restarts',
      unit: '',
      better: 'lower',
      goal: atMost(0, ''),
    },
    newAll: { what: '... requests, a connection for each', unit: '', better: 'higher' },
    newFailed: { what: '... that failed', unit: '', better: 'lower', goal: atMost(0, '') },
    newLongest: { what: '... longest time to an answer', unit: 'ms', better: 'lower' },
    keepAll: { what: '... requests on kept connections', unit: '', better: 'higher' },
    keepFailed: { what: '... that failed', unit: '', better: 'lower', goal: atMost(0, '') },
    lines: { what: '... lines written', unit: '', better: 'higher' },
    lost: { what: '... lines lost or doubled', unit: '', better: 'lower', goal: atMost(0, '') },
    ms: { what: '... an update, the command as a whole', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const home = tools.home()
    const { driver, port } = await webUnder(peer, tools, home, WORKERS)
    const log = home.file('writer.log')
    const script = home.write('writer.js', writer)
    await driver.call('start', { script, name: 'writer', exec_mode: 'fork', out_file: log, env: home.appEnv() })
    await until('its lines', () => readFileSync(log, 'latin1').length > 100)
    const before = await table(driver)
    const loads = ['new', 'keep'].map((kind) => startLoad({ port, kind, clients: CLIENTS }))
    const times = []
    for (let update = 0; update < UPDATES; update++) {
      const daemons = home.daemonSide()
      const began = performance.now()
      await promisify(execFile)(process.execPath, [peer.cli, 'update'], { env: home.env() })
      times.push(performance.now() - began)
      // Otherwise nothing was tried.
      if (home.daemonSide().every((pid) => daemons.includes(pid))) throw new Error('the daemon is the one before')
    }
    const [fresh, kept] = await Promise.all(loads.map((load) => load.stop()))
    const after = new Set((await table(driver)).map(String))
    for (const counts of [fresh, kept]) {
      console.error(`${peer.name}: ${JSON.stringify({ ...counts, workers: undefined, failedPorts: undefined })}`)
    }
    return {
      updates: times.length,
      restarted: before.filter((app) => !after.has(String(app))).length,
      newAll: fresh.requests,
      newFailed: failed(fresh),
      newLongest: fresh.max,
      keepAll: kept.requests,
      keepFailed: failed(kept),
      lines: readFileSync(log, 'latin1').split('\n').length - 1,
      lost: lost(log),
      ms: median(times),
    }
  },
}
