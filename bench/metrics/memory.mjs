import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { memory } from '../tools/proc.mjs'
import { slope } from '../tools/stats.mjs'

const sizes = (tools) => tools.pick([10, 50], [10, 50, 200, 500])

export default {
  name: 'memory',
  // Bytes differ little from one time to the next.
  mostRounds: 1,
  rows(tools) {
    const rows = {
      rss0: { what: 'daemon side idle, RSS', unit: 'MB', better: 'lower', goal: atMost(6, 'MB') },
      pss0: { what: 'daemon side idle, PSS', unit: 'MB', better: 'lower', goal: atMost(3, 'MB') },
    }
    for (const size of sizes(tools)) {
      rows[`rss${size}`] = { what: `daemon side with ${size} idle apps, RSS`, unit: 'MB', better: 'lower' }
      rows[`pss${size}`] = { what: `daemon side with ${size} idle apps, PSS`, unit: 'MB', better: 'lower' }
    }
    const span = tools.pick('10 to 50', '50 to 500')
    rows.each = { what: `each app more (${span} apps), RSS`, unit: 'KB', better: 'lower', goal: atMost(20, 'KB') }
    return rows
  },

  async measure(peer, tools) {
    const home = tools.home()
    const result = {}
    const points = []
    let running = 0
    for (const size of [0, ...sizes(tools)]) {
      // A new script each time, and gone when we look: what counts is the daemon with nobody connected.
      const driver = await tools.driver(peer, home)
      if (size === 0) await driver.call('connect')
      else await driver.call('start', home.idle(size - running, `idle-${size}`))
      running = size
      await driver.end()
      await sleep(3000)
      const { rss, pss } = memory(home.daemonSide())
      result[`rss${size}`] = rss / 1024
      result[`pss${size}`] = pss / 1024
      if (size >= tools.pick(10, 50)) points.push([size, rss])
    }
    return { ...result, each: slope(points) }
  },
}
