import { atMost } from '../tools/goals.mjs'
import { median } from '../tools/stats.mjs'

export default {
  name: 'connect',
  rows: {
    cold: { what: '`connect()` with no daemon', unit: 'ms', better: 'lower', goal: atMost(15, 'ms') },
    warm: { what: '`connect()` with a daemon', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const [cold, warm] = [[], []]
    for (let turn = 0; turn < tools.pick(3, 7); turn++) {
      const home = tools.home()
      for (const times of [cold, warm]) {
        const driver = await tools.driver(peer, home)
        times.push(
          await driver.run(async ({ pm2, call, now, sleep }) => {
            if (!pm2) throw new Error('the package exports nothing')
            await sleep(150) // What `require` left to do is not part of connecting.
            const start = now()
            await call('connect')
            return now() - start
          }),
        )
        await driver.end()
      }
      await home.end()
    }
    return { cold: median(cold), warm: median(warm) }
  },
}
