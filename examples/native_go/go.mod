module cbr-native-go

go 1.25.11

require (
	github.com/pulumi-cbr/pulumi-cbr/sdk/go v0.1.0
	github.com/pulumi/pulumi/sdk/v3 v3.256.0
)

replace github.com/pulumi-cbr/pulumi-cbr/sdk/go => ./sdks/cbr
