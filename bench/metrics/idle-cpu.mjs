import { setTimeout as sleep } from 'node:timers/promises'

import { atMost } from '../tools/goals.mjs'
import { cpuSeconds } from '../tools/proc.mjs'

export default {
  name: 'idle-cpu',
  // Half a minute of nothing is a median of its own.
  mostRounds: 1,
  rows(tools) {
    const [apps, seconds] = tools.pick([20, 5], [200, 30])
    return {
      cpu: {
        what: `CPU of the daemon side in ${seconds} s with ${apps} idle apps`,
        unit: 's',
        better: 'lower',
        goal: atMost(0.004, 's'),
      },
    }
  },

  async measure(peer, tools) {
    const [apps, seconds] = tools.pick([20, 5], [200, 30])
    const home = tools.home()
    const driver = await tools.driver(peer, home)
    await driver.call('start', home.idle(apps))
    await driver.end()
    await sleep(tools.pick(2000, 5000)) // What the start left to do.
    const pids = home.daemonSide()
    const before = cpuSeconds(pids)
    await sleep(seconds * 1000)
    return { cpu: cpuSeconds(pids) - before }
  },
}
