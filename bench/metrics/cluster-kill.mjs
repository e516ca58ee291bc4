import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { failed, startLoad } from '../tools/load.mjs'
import { listening, taken, webEnv, webUnder } from '../tools/web.mjs'

const WORKERS = 4
const CLIENTS = 16
const EVERY = 300

export default {
  name: 'cluster-kill',
  once: true,
  onRequest: true,
  rows: {
    kills: { what: `workers killed (${WORKERS} under load, one each ${EVERY} ms)`, unit: '', better: 'higher' },
    all: { what: '... requests', unit: '', better: 'higher' },
    failed: { what: '... that failed', unit: '', better: 'lower' },
    others: {
      what: '... that failed and were not in flight in a killed worker',
      unit: '',
      better: 'lower',
      goal: atMost(0, ''),
    },
    refused: { what: '... connections that were refused', unit: '', better: 'lower', goal: atMost(0, '') },
    hung: { what: '... requests without an answer for 5 s', unit: '', better: 'lower', goal: atMost(0, '') },
    longest: { what: '... longest time to an answer', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const home = tools.home()
    const connections = home.write('taken', '')
    const options = { env: webEnv({ ms: 15, connections }), max_restarts: 1e6, min_uptime: 0 }
    const { port } = await webUnder(peer, tools, home, WORKERS, options)
    const load = startLoad({ port, kind: 'new', clients: CLIENTS })
    let kills = 0
    const until = performance.now() + tools.pick(5000, 30_000)
    while (performance.now() < until) {
      await sleep(EVERY)
      // The oldest that lives: each worker lives as long as any other. On a busy machine they come more slowly than they are
      // killed; without any there would be nobody to fail or not.
      const living = listening(home).slice(kills)
      if (living.length < 2) continue
      const [[pid]] = living
      process.kill(pid, 'SIGKILL')
      kills += 1
    }
    const counts = await load.stop()
    const killed = new Set(
      listening(home)
        .slice(0, kills)
        .map(([pid]) => pid),
    )
    // Only connections that had reached a worker which was killed may fail.
    const inFlight = new Set(taken(home).flatMap(([pid, port]) => (killed.has(pid) ? [port] : [])))
    const excused = counts.failedPorts.filter((port) => inFlight.has(port)).length
    console.error(
      `${peer.name}: ${JSON.stringify({ ...counts, workers: Object.keys(counts.workers).length, failedPorts: undefined })}`,
    )
    return {
      kills,
      all: counts.requests,
      failed: failed(counts),
      others: failed(counts) - excused,
      refused: counts.refused,
      hung: counts.hung,
      longest: counts.max,
    }
  },
}
