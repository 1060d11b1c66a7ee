from pulumi_cbr.native.server import main

main()
