// An OpenCL program with faults on purpose: a read past the end and a data race. Shows that oclgrind is at work before its
// silence is taken as proof.
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>

static const char *const source = "__kernel void fault(__global int *a)\n"
                                  "{ a[0] = (int) get_global_id(0); if (get_global_id(0) == 1) a[1] = a[4096]; }\n";

int main(void)
{
    cl_platform_id platform;
    cl_device_id device;
    cl_int status = CL_SUCCESS;
    if (clGetPlatformIDs(1, &platform, NULL) || clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL))
        return printf("no OpenCL device\n"), 1;
    cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &status);
    cl_command_queue queue = clCreateCommandQueue(context, device, 0, &status);
    cl_program program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &status);
    clBuildProgram(program, 1, &device, "", NULL, NULL);
    cl_kernel kernel = clCreateKernel(program, "fault", &status);
    cl_mem memory = clCreateBuffer(context, CL_MEM_READ_WRITE, 64, NULL, &status);
    const size_t items = 32;
    clSetKernelArg(kernel, 0, sizeof memory, &memory);
    status = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, NULL, 0, NULL, NULL);
    clFinish(queue);
    clReleaseMemObject(memory);
    clReleaseKernel(kernel);
    clReleaseProgram(program);
    clReleaseCommandQueue(queue);
    clReleaseContext(context);
    return status != CL_SUCCESS;
}
