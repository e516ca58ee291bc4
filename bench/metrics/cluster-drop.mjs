import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { load } from '../tools/load.mjs'
import { webUnder } from '../tools/web.mjs'

const WORKERS = 2

const descriptors = (pids) => pids.map((pid) => readdirSync(`/proc/${pid}/fd`).length)

export default {
  name: 'cluster-drop',
  once: true,
  onRequest: true,
  rows: (tools) => ({
    before: { what: 'descriptors of the daemon side, 2 workers', unit: '', better: 'lower' },
    after: {
      what: `... after ${tools.pick(3000, 10_000)} connections opened and dropped, with reloads meanwhile`,
      unit: '',
      better: 'lower',
    },
    more: { what: '... more than before', unit: '', better: 'lower', goal: atMost(0, '') },
    reloads: { what: '... reloads meanwhile', unit: '', better: 'higher' },
  }),

  async measure(peer, tools) {
    const home = tools.home()
    const { driver, port, primary } = await webUnder(peer, tools, home, WORKERS)
    // Whatever is opened once and kept is open after this.
    await load({ port, kind: 'drop', seconds: 300 })
    await driver.call('reload', 'web')
    await sleep(2000)
    const before = descriptors(primary)
    const dropped = load({ port, kind: 'drop', seconds: tools.pick(3000, 10_000) })
    let under = true
    dropped.finally(() => {
      under = false
    })
    let reloads = 0
    while (under) {
      await driver.call('reload', 'web')
      reloads += 1
    }
    const counts = await dropped
    if (counts.connections !== tools.pick(3000, 10_000)) throw new Error(JSON.stringify(counts))
    await sleep(2000)
    const after = descriptors(primary)
    console.error(`${peer.name}: pids ${primary}, descriptors ${before} before, ${after} after`)
    const sum = (each) => each.reduce((all, one) => all + one, 0)
    return { before: sum(before), after: sum(after), more: sum(after) - sum(before), reloads }
  },
}
