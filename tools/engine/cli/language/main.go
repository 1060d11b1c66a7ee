// Command language is a language host that generates code: what `pulumi import` prints, and what `pulumi package gen-sdk`
// writes. It is built from the code generators of the CLI's own version and installed as pulumi-language-<language>.
//
// All else it hands to the program pulumi-language-<language>-run beside it, where there is one: a host that runs programs
// and is too old to generate code.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/hcl2/syntax"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/pcl"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// heartbeat is how often the engine is asked whether it is still there: a host outlives an engine that was killed by this.
const heartbeat = time.Second

type generator struct {
	program func(*pcl.Program) (map[string][]byte, hcl.Diagnostics, error)
	sdk     func(*schema.Package, *pulumirpc.GeneratePackageRequest, schema.ReferenceLoader) (map[string][]byte, error)
}

var generators = map[string]generator{
	"python": {
		python.GenerateProgram,
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, l schema.ReferenceLoader) (map[string][]byte, error) {
			return python.GeneratePackage("pulumi-language-python", p, r.ExtraFiles, l)
		},
	},
	"nodejs": {
		nodejs.GenerateProgram,
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, l schema.ReferenceLoader) (map[string][]byte, error) {
			return nodejs.GeneratePackage(
				"pulumi-language-nodejs", p, r.ExtraFiles, r.LocalDependencies, r.Local, l)
		},
	},
	"go": {
		gen.GenerateProgram,
		func(p *schema.Package, r *pulumirpc.GeneratePackageRequest, _ schema.ReferenceLoader) (map[string][]byte, error) {
			return gen.GeneratePackage("pulumi-language-go", p, r.LocalDependencies)
		},
	},
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	name := filepath.Base(os.Args[0])
	language, ok := generators[strings.TrimPrefix(name, "pulumi-language-")]
	if !ok {
		return fmt.Errorf("%s is not the name of a language host that is known here", name)
	}
	runner, err := startRunner(name + "-run")
	if err != nil {
		return err
	}
	if runner != nil {
		defer runner.stop()
	}

	// Of the service, only what is answered here is registered.
	service := pulumirpc.LanguageRuntime_ServiceDesc
	service.Streams = nil
	service.Methods = slices.DeleteFunc(slices.Clone(service.Methods), func(method grpc.MethodDesc) bool {
		return !slices.Contains([]string{"GetPluginInfo", "GenerateProgram", "GeneratePackage"}, method.MethodName)
	})
	stopping := make(chan os.Signal, 1)
	signal.Notify(stopping, os.Interrupt, syscall.SIGTERM)
	cancel := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: cancel,
		Init: func(server *grpc.Server) error {
			server.RegisterService(&service, &host{generator: language})
			return nil
		},
		Options: []grpc.ServerOption{grpc.UnknownServiceHandler(runner.forward)},
	})
	if err != nil {
		return err
	}
	if len(os.Args) > 1 {
		engine := os.Args[len(os.Args)-1]
		if err := rpcutil.Healthcheck(context.Background(), engine, heartbeat, func() { close(cancel) }); err != nil {
			return err
		}
	}
	fmt.Println(handle.Port)
	select {
	case <-stopping:
		return nil
	case err := <-handle.Done:
		return err
	}
}

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	generator generator
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{}, nil
}

func (h *host) GenerateProgram(
	_ context.Context, request *pulumirpc.GenerateProgramRequest,
) (*pulumirpc.GenerateProgramResponse, error) {
	loader, err := schema.NewLoaderClient(request.LoaderTarget)
	if err != nil {
		return nil, err
	}
	defer loader.Close()
	parser := syntax.NewParser()
	for path, source := range request.Source {
		if err := parser.ParseFile(strings.NewReader(source), path); err != nil {
			return nil, err
		}
	}
	if parser.Diagnostics.HasErrors() {
		return nil, parser.Diagnostics
	}
	options := []pcl.BindOption{pcl.PreferOutputVersionedInvokes}
	if !request.Strict {
		options = append(options, pcl.NonStrictBindOptions()...)
	}
	program, diagnostics, err := pcl.BindProgram(parser.Files, schema.NewCachedLoader(loader), options...)
	if err != nil {
		return nil, err
	}
	var files map[string][]byte
	if !diagnostics.HasErrors() {
		var more hcl.Diagnostics
		files, more, err = h.generator.program(program)
		if err != nil {
			return nil, err
		}
		diagnostics = append(diagnostics, more...)
	}
	return &pulumirpc.GenerateProgramResponse{
		Source: files, Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(diagnostics),
	}, nil
}

func (h *host) GeneratePackage(
	_ context.Context, request *pulumirpc.GeneratePackageRequest,
) (*pulumirpc.GeneratePackageResponse, error) {
	client, err := schema.NewLoaderClient(request.LoaderTarget)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	loader := schema.NewCachedLoader(client)
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(request.Schema), &spec); err != nil {
		return nil, err
	}
	pkg, diagnostics, err := schema.BindSpec(spec, loader, schema.ValidationOptions{AllowDanglingReferences: true})
	if err != nil {
		return nil, err
	}
	if !diagnostics.HasErrors() {
		files, err := h.generator.sdk(pkg, request, loader)
		if err != nil {
			return nil, err
		}
		for name, content := range files {
			path := filepath.Join(request.Directory, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(path, content, 0o644); err != nil {
				return nil, err
			}
		}
	}
	return &pulumirpc.GeneratePackageResponse{Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(diagnostics)}, nil
}

// runner is the host that runs programs.
type runner struct {
	process    *exec.Cmd
	connection *grpc.ClientConn
}

// startRunner returns nil where there is no such host.
func startRunner(name string) (*runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	process := exec.Command(filepath.Join(filepath.Dir(self), name), os.Args[1:]...)
	process.Stderr = os.Stderr
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	lines := bufio.NewReader(output)
	port, err := lines.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	// What it prints after its port is the programs' own.
	go func() { _, _ = io.Copy(os.Stdout, lines) }()
	connection, err := grpc.NewClient(
		"127.0.0.1:"+strings.TrimSpace(port),
		grpc.WithTransportCredentials(insecure.NewCredentials()), rpcutil.GrpcChannelOptions())
	if err != nil {
		return nil, err
	}
	return &runner{process, connection}, nil
}

// stop ends the host and the program that it runs. The engine waits for both, five seconds at most: they have its pipes.
// It does so not by the signal that came, an interrupt, which shells have their background jobs ignore.
func (r *runner) stop() {
	group := -r.process.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	impatient := time.AfterFunc(time.Second, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	defer impatient.Stop()
	_ = r.process.Wait()
}

// forward hands a call of any method on: every message fits into one without fields, which keeps what it does not know.
func (r *runner) forward(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	if r == nil {
		return status.Errorf(codes.Unimplemented, "method %s is not implemented: this host only generates code", method)
	}
	message := &emptypb.Empty{}
	if err := stream.RecvMsg(message); err != nil {
		return err
	}
	call, err := r.connection.NewStream(stream.Context(), &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := errors.Join(call.SendMsg(message), call.CloseSend()); err != nil {
		return err
	}
	for {
		answer := &emptypb.Empty{}
		if err := call.RecvMsg(answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(answer); err != nil {
			return err
		}
	}
}
