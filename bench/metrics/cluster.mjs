import { atLeastFloor, atMost, atMostFloor } from '../tools/goals.mjs'
import { load, unevenness } from '../tools/load.mjs'
import { cpuSeconds } from '../tools/proc.mjs'
import { listening, webUnder, webUnderNode } from '../tools/web.mjs'

const SIZES = [2, 4]
const CLIENTS = 32
const EVEN = 5

/** A load of each kind, after a short one that warms the workers up. */
async function measureWeb({ port, primary }, home, workers, tools) {
  const result = {}
  const seconds = tools.pick(2, 10)
  for (const [kind, goals] of [
    ['keep', { even: false }],
    ['new', { even: true }],
  ]) {
    await load({ port, kind, clients: CLIENTS, seconds: 1 })
    const apps = listening(home).map(([pid]) => pid)
    const before = [cpuSeconds(primary), cpuSeconds(apps)]
    const counts = await load({ port, kind, clients: CLIENTS, seconds })
    if (counts.answered !== counts.requests) throw new Error(`requests failed: ${JSON.stringify(counts)}`)
    const row = (name) => `${kind}${name}${workers}`
    result[row('Rate')] = counts.rate
    result[row('P99')] = counts.p99
    if (goals.even) {
      result[row('Uneven')] = unevenness(counts)
      result[row('Cpu')] = ((cpuSeconds(primary) - before[0]) / counts.answered) * 1e6
      result[row('Both')] = ((cpuSeconds([...primary, ...apps]) - before[0] - before[1]) / counts.answered) * 1e6
    }
  }
  return result
}

function rowsFor(workers) {
  const higher = (what, goal) => ({ what, unit: '1/s', better: 'higher', goal })
  const lower = (what, unit, goal) => ({ what, unit, better: 'lower', goal })
  return {
    [`keepRate${workers}`]: higher(`${workers} workers, kept connections: requests`, atLeastFloor(1)),
    [`keepP99${workers}`]: lower('... p99', 'ms'),
    [`newRate${workers}`]: higher(`${workers} workers, a connection for each request: requests`, atLeastFloor(1.15)),
    [`newP99${workers}`]: lower('... p99', 'ms'),
    [`newUneven${workers}`]: lower('... furthest from the mean of the workers', '%', atMost(EVEN, '%')),
    [`newCpu${workers}`]: lower('... CPU of the distributing process', 'us/conn', atMostFloor(1)),
    [`newBoth${workers}`]: lower('... CPU of it and the workers', 'us/conn', atMostFloor(1)),
  }
}

export default {
  name: 'cluster',
  rows: Object.assign({}, ...SIZES.map(rowsFor)),

  async measure(peer, tools) {
    const result = {}
    for (const workers of SIZES) {
      const home = tools.home()
      Object.assign(result, await measureWeb(await webUnder(peer, tools, home, workers), home, workers, tools))
      await home.end()
    }
    return result
  },

  /** Under Node's own primary. */
  async floor(tools) {
    const result = {}
    for (const workers of SIZES) {
      const home = tools.home()
      Object.assign(result, await measureWeb(await webUnderNode(home, workers), home, workers, tools))
      await home.end()
    }
    return result
  },
}
