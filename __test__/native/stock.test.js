'use strict'

process.env.NATIVE_SUITE = 'stock'
require('./suite.js')
