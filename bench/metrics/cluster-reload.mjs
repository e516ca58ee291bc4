import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { failed, startLoad } from '../tools/load.mjs'
import { median } from '../tools/stats.mjs'
import { webEnv, webUnder } from '../tools/web.mjs'

const CLIENTS = 16

const cases = [1, 2, 4].flatMap((workers) =>
  [false, true].flatMap((secure) => ['keep', 'new'].map((kind) => ({ workers, secure, kind }))),
)
// TLS once with several workers.
const chosen = cases.filter(({ workers, secure }) => !(secure && workers === 4))

const key = ({ workers, secure, kind }) => `${kind}${secure ? 'Tls' : ''}${workers}`

function rowsOf(one, tools) {
  const reloads = tools.pick(5, 50)
  const what = `${one.workers} worker${one.workers > 1 ? 's' : ''}${one.secure ? ', TLS' : ''}, ${one.kind === 'keep' ? 'kept connections' : 'a connection for each request'}`
  return {
    [`${key(one)}Failed`]: {
      what: `${reloads} reloads under load, ${what}: requests failed`,
      unit: '',
      better: 'lower',
      goal: atMost(0, ''),
    },
    [`${key(one)}Hung`]: {
      what: '... of them without an answer for 5 s',
      unit: '',
      better: 'lower',
      goal: atMost(0, ''),
    },
    [`${key(one)}All`]: { what: '... of requests', unit: '', better: 'higher' },
    [`${key(one)}Ms`]: { what: '... a reload', unit: 'ms', better: 'lower' },
  }
}

async function measureOne(peer, tools, one) {
  const home = tools.home()
  const env = webEnv({ ms: 15, secure: one.secure })
  const { driver, port } = await webUnder(peer, tools, home, one.workers, { env })
  const load = startLoad({ port, kind: one.kind, tls: one.secure, clients: CLIENTS })
  const began = performance.now()
  const times = []
  for (let reload = 0; reload < tools.pick(5, 50); reload++) times.push(await driver.timed('reload', 'web'))
  // At least as long as promised, also where reloads are quick.
  await sleep(Math.max(0, tools.pick(1000, 30_000) - (performance.now() - began)))
  const counts = await load.stop()
  console.error(
    `${peer.name} ${key(one)}: ${JSON.stringify({ ...counts, workers: Object.keys(counts.workers).length, failedPorts: undefined })}`,
  )
  await home.end()
  return {
    [`${key(one)}Failed`]: failed(counts),
    [`${key(one)}Hung`]: counts.hung,
    [`${key(one)}All`]: counts.requests,
    [`${key(one)}Ms`]: median(times),
  }
}

export default {
  name: 'cluster-reload',
  once: true,
  onRequest: true,
  // Stock takes more than a second for each worker.
  limit: 3_600_000,
  rows: (tools) => Object.assign({}, ...chosen.map((one) => rowsOf(one, tools))),

  async measure(peer, tools) {
    const result = {}
    for (const one of chosen) Object.assign(result, await measureOne(peer, tools, one))
    return result
  },
}
