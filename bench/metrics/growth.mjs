import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { memory } from '../tools/proc.mjs'
import { exponent, quantile } from '../tools/stats.mjs'

const sizes = (tools) => tools.pick([10, 20, 40, 80], [10, 30, 100, 300, 1000])

export default {
  name: 'growth',
  onRequest: true,
  rows(tools) {
    const span = `${sizes(tools)[0]} to ${sizes(tools).at(-1)} apps`
    const row = (what) => ({
      what: `growth of ${what}, ${span}`,
      unit: 'exponent',
      better: 'lower',
      goal: atMost(1.05, ''),
    })
    return { start: row('one call of `start`'), list: row('`list()` p50'), rss: row('RSS of the daemon side') }
  },

  async measure(peer, tools) {
    const points = { start: [], list: [], rss: [] }
    for (const size of sizes(tools)) {
      const home = tools.home()
      const driver = await tools.driver(peer, home)
      await driver.call('connect')
      points.start.push([size, await driver.timed('start', home.idle(size))])
      await sleep(1000)
      const times = await driver.run(
        async ({ call, now }, turns) => {
          const times = []
          for (let turn = 0; turn < turns; turn++) {
            const start = now()
            await call('list')
            times.push(now() - start)
          }
          return times
        },
        tools.pick(30, 100),
      )
      points.list.push([size, quantile(times, 0.5)])
      points.rss.push([size, memory(home.daemonSide()).rss])
      await home.end()
    }
    return Object.fromEntries(Object.entries(points).map(([name, list]) => [name, exponent(list)]))
  },
}
