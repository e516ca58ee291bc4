import { atLeastFloor, atLeastInPairs, atMost, atMostFloor } from '../tools/goals.mjs'
import { load, unevenness } from '../tools/load.mjs'
import { cpuSeconds } from '../tools/proc.mjs'
import { inOneGroup } from '../tools/scheduler.mjs'
import { median } from '../tools/stats.mjs'
import { listening, webUnder, webUnderNode } from '../tools/web.mjs'

const SIZES = [2, 4]
const CLIENTS = 32
const EVEN = 5

/** A load of each kind, after a short one that warms the workers up. */
async function measureWeb({ port, primary }, home, workers, tools) {
  const result = {}
  const seconds = tools.pick(2, 10)
  for (const kind of ['keep', 'new']) {
    await load({ port, kind, clients: CLIENTS, seconds: 1 })
    const apps = listening(home).map(([pid]) => pid)
    const before = [cpuSeconds(primary), cpuSeconds(apps)]
    const counts = await load({ port, kind, clients: CLIENTS, seconds })
    if (counts.answered !== counts.requests) throw new Error(`requests failed: ${JSON.stringify(counts)}`)
    const row = (name) => `${kind}${name}${workers}`
    result[row('Rate')] = counts.rate
    result[row('P99')] = counts.p99
    if (kind === 'new') {
      result[row('Uneven')] = unevenness(counts)
      result[row('Cpu')] = ((cpuSeconds(primary) - before[0]) / counts.answered) * 1e6
      result[row('Both')] = ((cpuSeconds([...primary, ...apps]) - before[0] - before[1]) / counts.answered) * 1e6
    }
  }
  return result
}

/**
 * Requests over kept connections, in units of what the same workers answer under Node's own primary. Neither primary is in
 * the way then, so that a hundredth counts. A machine varies by more from one ten seconds to the next, and a worker from one
 * start to the next: both are asked in turns of a second, and started anew after a few of them.
 */
async function keptInPairs(start, workers, tools) {
  const ratios = []
  for (let round = 0; round < tools.pick(2, 8); round++) {
    const homes = [tools.home(), tools.home()]
    const ports = [(await start(homes[0], workers)).port, (await webUnderNode(homes[1], workers)).port]
    const rate = async (port) => (await load({ port, kind: 'keep', clients: CLIENTS, seconds: 1 })).rate
    for (const port of ports) await rate(port)
    // The first turn counts for nothing: in it one has just been warmed up, the other has been idle since.
    for (let turn = 0; turn < 5; turn++) {
      const rates = {}
      for (const port of turn % 2 === 0 ? ports : [...ports].reverse()) rates[port] = await rate(port)
      if (turn > 0) ratios.push(rates[ports[0]] / rates[ports[1]])
    }
    for (const home of homes) await home.end()
  }
  return median(ratios)
}

/** `start(home, workers)` starts the app. */
const measureSizes = (tools, start, inPairs) =>
  inOneGroup(async () => {
    const result = {}
    for (const workers of SIZES) {
      const home = tools.home()
      Object.assign(result, await measureWeb(await start(home, workers), home, workers, tools))
      await home.end()
      if (inPairs) result[`keepPairs${workers}`] = await keptInPairs(start, workers, tools)
    }
    return result
  })

function rowsFor(workers) {
  const higher = (what, goal) => ({ what, unit: '1/s', better: 'higher', goal })
  const lower = (what, unit, goal) => ({ what, unit, better: 'lower', goal })
  return {
    [`keepPairs${workers}`]: {
      what: `${workers} workers, kept connections: requests`,
      unit: "x Node's primary",
      better: 'higher',
      goal: atLeastInPairs(1),
    },
    [`keepRate${workers}`]: higher('... requests'),
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

  measure: (peer, tools) => measureSizes(tools, (home, workers) => webUnder(peer, tools, home, workers), true),

  /** Under Node's own primary. */
  floor: (tools) => measureSizes(tools, webUnderNode, false),
}
